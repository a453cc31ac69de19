// Secrets are never logged, whatever clients send and whatever fails.

import { afterAll, beforeAll, expect, test } from 'vitest'

import { SIGNING_KEY, token } from './support/client.ts'
import { token as second } from './support/durable-iterator.ts'
import { startJournals } from './support/journals.ts'
import type { Journals } from './support/journals.ts'
import { BareSocket, upgradeAnswer } from './support/socket.ts'
import { startWorkers } from './support/workerd.ts'
import type { RunningWorkers } from './support/workerd.ts'

const PUBLISH_KEY = 'the publish key of these tests'
const PREVIOUS_KEY = 'the key before of these tests'
/** A text in all attachments of these tests. */
const PERSONAL = 'someone@example.org'

let journals: Journals
let channels: RunningWorkers
const log: string[] = []
const onLog = (line: string): void => void log.push(line)

beforeAll(async () => {
  journals = await startJournals({ onLog })
  channels = await startWorkers({
    onLog,
    workers: [
      {
        name: 'channels',
        crate: '.',
        variables: { SIGNING_KEY, PREVIOUS_SIGNING_KEY: PREVIOUS_KEY, PUBLISH_KEY },
        durableObjects: { CHANNEL: { className: 'DurableEventIteratorObject' } },
      },
    ],
  })
})
afterAll(() => Promise.all([journals.dispose(), channels.dispose()]))

/** All secret texts: the issued tokens and each of their parts. */
const secrets = new Set([SIGNING_KEY, PUBLISH_KEY, PREVIOUS_KEY, PERSONAL])
function issued(text: string): string {
  secrets.add(text)
  for (const part of text.split('.')) if (part.length > 20 && part !== 'eyJhbGciOiJIUzI1NiJ9') secrets.add(part)
  return text
}

function upgradeUrl(workers: RunningWorkers, path: string, parameters: Record<string, string>): URL {
  const url = new URL(path, workers.url)
  url.protocol = 'ws:'
  for (const [name, value] of Object.entries(parameters)) url.searchParams.append(name, value)
  return url
}

test('no log line contains a token, a key or an attachment', async () => {
  // An attachment of another type than the Durable Object's, so that reading it fails.
  const att = PERSONAL
  const rpc = ['whoAmI', 'extra', 'anything']
  const now = Math.floor(Date.now() / 1000)
  const good = issued(await token({ chn: 'secrets', att, rpc }))
  const bad = [
    await token({ chn: 'secrets', att }, 'another key'),
    await token({ chn: 'secrets', att, iat: now - 100, exp: now - 1 }),
    await token({ chn: 7 as never, att }),
    await token({ chn: 'secrets', att: [PERSONAL, 'x'.repeat(7_000)] }),
    await second({ chn: 'secrets', att, exp: now - 1 }),
    await second({ chn: 'secrets', att, tags: ['x'.repeat(257)] }),
    await second({ chn: 'secrets', att, tags: [7] as never }),
    `${good}A`,
    `${good}.${good}`,
    JSON.stringify({ payload: good, att }),
  ].map(issued)
  for (const each of bad) {
    const { status } = await upgradeAnswer(upgradeUrl(journals, '/upgrade/CALLS', { token: each, id: 'me' }))
    expect([400, 401]).toContain(status)
    await upgradeAnswer(upgradeUrl(journals, '/guarded/USUAL', { token: each, id: 'me' }))
    await upgradeAnswer(upgradeUrl(channels, '/', { token: each, id: 'me' }))
  }
  // A missing binding.
  await upgradeAnswer(upgradeUrl(journals, '/upgrade/NOWHERE', { token: good }))

  const tokens = [good, issued(await second({ chn: 'secrets', att, rpc }))]
  for (const [index, signed] of tokens.entries()) {
    const socket = await BareSocket.open(upgradeUrl(journals, '/upgrade/CALLS', { token: signed, id: 'me' }))
    const call = (i: string, path: string[], input: unknown = null): void =>
      socket.send({ i, p: { u: '/call', b: { json: { path, input } } } })
    socket.send({ i: 'subscribe', p: { u: '/subscribe', h: { 'last-event-id': signed, authorization: PUBLISH_KEY } } })
    call('a', ['whoAmI'])
    call('b', ['extra', 'throwPlain'])
    call('c', ['extra', 'badOutput'])
    call('d', ['extra', 'throwTypeError'])
    call('e', [signed], { key: SIGNING_KEY })
    call('f', ['anything'], { att, signed })
    for (const [i, other] of bad.entries()) socket.send({ i: `update${i}`, p: { u: '/updateToken', b: { json: { token: other } } } })
    socket.send({ i: 'g', p: { u: `/${encodeURIComponent(signed)}?token=${signed}`, b: { json: 1, meta: [[9, signed]] } } })
    socket.send({ i: 'h', p: { u: 7, b: signed } })
    const answers = await socket.frames(9 + bad.length)
    expect(answers.find(({ i }) => i === 'a').p.s, `token ${index}`).toBe(500)
    socket.send(`${signed} is no frame`)
    await socket.end()
  }

  const publish = (key: string, body: string): Promise<Response> =>
    channels.fetch('/channels/secrets/events', { method: 'POST', headers: { authorization: `Bearer ${key}` }, body })
  for (const key of [PUBLISH_KEY, `${PUBLISH_KEY}x`, SIGNING_KEY, good]) {
    await publish(key, JSON.stringify({ att, good }))
    await publish(key, `${good} is no JSON`)
  }

  // The log is not empty: it contains the failures of the procedures.
  await expect.poll(() => log.filter((line) => line.includes('a call failed')).length).toBeGreaterThanOrEqual(8)
  const telling = log.filter((line) => [...secrets].some((secret) => line.includes(secret)))
  expect(telling).toEqual([])
})
