// The hook for sockets that have closed: `on_closed` in Rust, `onClosed` in TypeScript.

import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'

import { seconds } from './support/durable-iterator.ts'
import { isRust, startJournals } from './support/journals.ts'
import type { Journals } from './support/journals.ts'
import { MemberSocket } from './support/members.ts'
import type { JoinOptions } from './support/members.ts'

let journals: Journals
const lines: string[] = []
beforeAll(async () => {
  journals = await startJournals({ onLog: (line) => lines.push(line) })
})
afterAll(() => journals.dispose())
const opened: MemberSocket[] = []
afterEach(() => {
  for (const { socket } of opened.splice(0)) socket.vanish()
})

async function connect(chn: string, name: string, options: JoinOptions = {}): Promise<MemberSocket> {
  const member = await MemberSocket.connect(journals, 'ABSENT', chn, name, { rpc: ['keep'], ...options })
  opened.push(member)
  await member.call('keep', `${name}'s`)
  return member
}

const closings = (chn: string): Promise<any[]> => journals.stub('ABSENT', chn, 'closings')
const closing = (name: string, sockets: number): object => ({ name: `${name}-id`, kept: `${name}'s`, sockets })

/** Waits for the sockets that have closed, and for a further one that would be wrong. */
async function expectClosings(chn: string, ...expected: object[]): Promise<void> {
  await expect.poll(() => closings(chn)).toHaveLength(expected.length)
  await new Promise((resolve) => setTimeout(resolve, 200))
  expect(await closings(chn)).toEqual(expected)
}

test('is called once, with the attachments, for a close, a loss, and a close by the server', async () => {
  const [closed, lost, subscribed] = [await connect('ways', 'closed'), await connect('ways', 'lost'), await connect('ways', 'subscribed')]
  subscribed.subscribe()
  await closed.close()
  await expectClosings('ways', closing('closed', 2))
  lost.socket.vanish()
  await expectClosings('ways', closing('closed', 2), closing('lost', 1))
  await journals.stub('ABSENT', 'ways', 'closeAll', 4_000)
  expect(await subscribed.socket.end()).toEqual({ code: 4_000, reason: 'by the server' })
  await expectClosings('ways', closing('closed', 2), closing('lost', 1), closing('subscribed', 0))
})

test('is called for a protocol error, and for a message that is too large', async () => {
  const malformed = await connect('errors', 'malformed')
  malformed.socket.send('{')
  await malformed.socket.end()
  await expectClosings('errors', closing('malformed', 0))
  const large = await connect('errors', 'large')
  large.socket.send('x'.repeat(2 * 1024 * 1024))
  await large.socket.end()
  await expectClosings('errors', closing('malformed', 0), closing('large', 0))
})

test('is called for a socket whose token has expired', async () => {
  const exp = seconds() + 2
  const client = await connect('expired', 'anna', { exp })
  client.subscribe()
  await client.socket.frames(2)
  await new Promise((resolve) => setTimeout(resolve, exp * 1_000 - Date.now() + 50))
  await journals.stub('ABSENT', 'expired', 'publish', { type: 'message', n: 1, text: null })
  // The socket of a `DurableEventIterator` client stays open without its subscription.
  await expectClosings('expired')
  await client.close()
  await expectClosings('expired', closing('anna', 0))
})

test('is called for sockets that close while the Durable Object hibernates', async () => {
  const [closed, lost] = [await connect('hibernating', 'closed'), await connect('hibernating', 'lost')]
  await connect('hibernating', 'open')
  await journals.hibernate('ABSENT', 'hibernating')
  await closed.close()
  await expectClosings('hibernating', closing('closed', 2))
  await journals.hibernate('ABSENT', 'hibernating')
  lost.socket.vanish()
  await expectClosings('hibernating', closing('closed', 2), closing('lost', 1))
})

test('an error is logged, and the next call succeeds', async () => {
  const failing = await connect('failing', 'failing', { att: { manner: 'failClosed' } })
  await failing.close()
  await expectClosings('failing', closing('failing', 0))
  expect(lines.some((line) => line.includes(isRust ? 'on_closed failed' : 'onClosed failed'))).toBe(true)
  const next = await connect('failing', 'next')
  await next.close()
  await expectClosings('failing', closing('failing', 0), closing('next', 0))
})

test.skipIf(!isRust)('a panic loses the instance, and the hook is called for the others', async () => {
  const breaking = await connect('breaking', 'breaking', { att: { manner: 'panicClosed' } })
  const other = await connect('breaking', 'other')
  await breaking.close()
  await other.close()
  await expectClosings('breaking', closing('breaking', 1), closing('other', 0))
})
