// Runs the script of `tests/parity` on the Workers runtime. The test of the crate in that folder runs it on the test kit: clients
// must receive the same.

import { readFileSync } from 'node:fs'

import { afterAll, beforeAll, expect, test } from 'vitest'

import { token } from './support/client.ts'
import { token as tokenWithTags, upgradeUrl } from './support/durable-iterator.ts'
import { startJournals } from './support/journals.ts'
import type { Journals } from './support/journals.ts'
import { BareSocket } from './support/socket.ts'

interface Step {
  connect?: string
  id?: string
  claims?: { rpc?: string[]; att?: unknown; tags?: string[] }
  send?: string
  frame?: object | string
  publish?: object
  options?: object
  hibernate?: boolean
  received?: Record<string, any[]>
}

const { channel, steps }: { channel: string; steps: Step[] } = JSON.parse(
  readFileSync(new URL('parity/script.json', import.meta.url), 'utf8'),
)

let journals: Journals
beforeAll(async () => {
  journals = await startJournals()
})
afterAll(() => journals.dispose())

test('clients receive what they do on the test kit', async () => {
  const clients = new Map<string, BareSocket>()
  const seen = new Map<string, number>()
  const ids: string[] = []

  /** A message with `$1` and the like in place of the ids of events. */
  const plain = (message: string): any => {
    const text = ids.reduce((replaced, id, n) => replaced.replaceAll(`"${id}"`, `"$${n + 1}"`), message)
    const frame = JSON.parse(text)
    if (frame.p?.h?.['x-durable-event-gap'] !== undefined) frame.p.h['x-durable-event-gap'] = '$gap'
    return frame
  }

  for (const [n, step] of steps.entries()) {
    const claims = { rpc: [], ...step.claims, chn: channel }
    if (step.connect !== undefined) {
      const { tags: _, ...untagged } = claims
      const signed = await (step.id === undefined ? token(untagged) : tokenWithTags(claims))
      clients.set(step.connect, await BareSocket.open(upgradeUrl(journals, 'USUAL', signed, step.id)))
    }
    if (step.send !== undefined) {
      let text = typeof step.frame === 'string' ? step.frame : JSON.stringify(step.frame)
      if (text.includes('"$token"')) text = text.replace('"$token"', JSON.stringify(await tokenWithTags(claims)))
      ids.forEach((id, index) => (text = text.replaceAll(`"$${index + 1}"`, `"${id}"`)))
      clients.get(step.send)!.send(text)
    }
    if (step.publish !== undefined) {
      const { id, duplicate } = await journals.publish('USUAL', channel, step.publish, step.options ?? {})
      if (!duplicate) ids.push(id)
    }
    if (step.hibernate) await journals.hibernate('USUAL', channel)

    for (const [name, expected] of Object.entries(step.received ?? {})) {
      const client = clients.get(name)!
      const from = seen.get(name) ?? 0
      const frames = expected.filter((frame) => frame.closed === undefined)
      if (frames.length > 0) await client.until(({ length }) => length >= from + frames.length)
      const received = client.messages.slice(from).map(plain)
      seen.set(name, client.messages.length)
      if (frames.length < expected.length) {
        const { code, reason } = await client.end()
        received.push({ closed: code, reason })
      }
      expect(received, `step ${n}, ${name}`).toEqual(expected)
    }
  }
  // Nobody has received more than that.
  for (const [name, client] of clients) expect(client.messages.length, name).toBe(seen.get(name) ?? 0)
})
