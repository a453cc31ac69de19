// Recorded conversations of an unmodified client with oRPC's implementation (`frames/`). The client's frames are sent to our
// Durable Object, which responds with the same frames.

import { readFileSync, readdirSync } from 'node:fs'

import { afterAll, beforeAll, expect, test } from 'vitest'

import { startJournals } from './support/journals.ts'
import type { Journals } from './support/journals.ts'
import { BareSocket } from './support/socket.ts'

let journals: Journals
beforeAll(async () => {
  journals = await startJournals()
})
afterAll(() => journals.dispose())

/** One recorded step. */
interface Exchange {
  kind: 'http' | 'upgrade' | 'frame' | 'close'
  conn: number
  dir: 'c2s' | 's2c'
  payload?: string
  payloadBase64?: string
  request: { url: string }
}

interface Recording {
  name: string
  exchanges: Exchange[]
}

const folder = new URL('frames/', import.meta.url)
const recordings: Recording[] = readdirSync(folder)
  .filter((file) => file.endsWith('.json'))
  .map((file) => JSON.parse(readFileSync(new URL(file, folder), 'utf8')))
  .filter(({ exchanges }: Recording) => exchanges.some(({ kind }) => kind === 'frame'))

/** A frame without the parts that may differ, for comparison. */
interface Frame {
  i: string
  t?: number
  p?: any
  /** The parts of a form. */
  form?: { name: string; value: unknown }[]
}

const DELIMITER = 0xff

async function decode(message: string | Buffer): Promise<Frame> {
  if (typeof message === 'string') return JSON.parse(message)
  const end = message.indexOf(DELIMITER)
  const frame = JSON.parse(message.subarray(0, end).toString())
  const contentType: string = frame.p.h['content-type']
  const form = await new Response(new Uint8Array(message.subarray(end + 1)), { headers: { 'content-type': contentType } }).formData()
  // Boundaries are arbitrary.
  frame.p.h['content-type'] = contentType.replace(/boundary=.*/, 'boundary=')
  frame.form = await Promise.all(
    [...form].map(async ([name, value]) => ({
      name,
      value:
        typeof value === 'string'
          ? JSON.parse(value)
          : { name: value.name, type: value.type, bytes: Buffer.from(await value.arrayBuffer()).toString('hex') },
    })),
  )
  return frame
}

/** The response of an error. */
const error = (s: number, code: string, message: string): object => ({ s, b: { json: { defined: false, code, status: s, message } } })
const NOT_FOUND = error(404, 'NOT_FOUND', 'Not Found')

/**
* Intentional differences of our responses, by recording and call id. The first one is a known fault of oRPC's
* implementation. It has no specific response to an unknown name, its issues are those of the validator of the recording,
* and it does not unescape the names of files in forms.
 */
const DIFFERENT: Record<string, Record<string, object>> = {
  '03-rpc-ping': { '1': { b: { json: 'pong' } } },
  '20-file-input': { '1': { b: { json: { d: 'File:héllo "x".txt:text/plain:12', text: 'file body é' } } } },
  '30-errors': {
    '6': invalid({ message: 'expected a number, found a string', path: ['n'] }),
    '7': invalid({ message: 'expected at least 3', path: ['n'] }),
    a: NOT_FOUND,
    b: NOT_FOUND,
    c: NOT_FOUND,
  },
}

function invalid(issue: object): object {
  const answer: any = error(400, 'BAD_REQUEST', 'Input validation failed')
  answer.b.json.data = { issues: [issue] }
  return answer
}

/** The number of events that were published before the client connected or while it was disconnected. */
const PUBLISHED_BEFORE: Record<string, number[]> = { '03-rpc-ping': [1], '06-recover-after-reconnect': [0, 2] }

/** An event that a call publishes, so that the test must not publish it. */
const PUBLISHED_BY_CALL = new Set(['05-rpc-publish'])

const isEvent = (frame: Frame): boolean => frame.t === 3 && /^\d+$/.test(frame.p?.m?.id)

test('there are recordings', () => {
  expect(recordings.map(({ name }) => name)).toHaveLength(15)
})

test.each(recordings.map((recording) => [recording.name, recording] as const))('%s', async (name, { exchanges }) => {
  const recordedEvents: Frame[] = []
  for (const { kind, dir, payload } of exchanges) {
    if (kind !== 'frame' || dir !== 's2c' || payload === undefined) continue
    const frame: Frame = JSON.parse(payload)
    if (isEvent(frame)) recordedEvents.push(frame)
  }
  let chn = ''
  let published = PUBLISHED_BY_CALL.has(name) ? recordedEvents.length : 0
  const publish = async (count: number): Promise<void> => {
    for (; count > 0; count--) {
      const { d, m } = recordedEvents[published++]!.p
      const event = { json: JSON.stringify(d.json), ...(d.meta && { meta: JSON.stringify(d.meta) }) }
      const { id, ...meta } = m
      await journals.stub('CALLS', chn, 'publish', event, { serialized: true, ...meta })
    }
  }

  const sockets: BareSocket[] = []
  const received: number[] = []
  const ids = new Map<string, string>()
  for (const { kind, conn, dir, payload, payloadBase64, request } of exchanges) {
    if (kind === 'upgrade') {
      const { att, rpc, chn: recorded } = claimsOf(request.url)
      chn = `${name} ${recorded}`
      await publish(PUBLISHED_BEFORE[name]?.[conn] ?? 0)
      sockets[conn] = await BareSocket.open(await journals.upgrade('CALLS', { chn, rpc, att }))
      received[conn] = 0
    } else if (kind === 'close') {
      sockets[conn]!.vanish()
    } else if (kind === 'frame' && dir === 'c2s') {
      sockets[conn]!.send(payload === undefined ? Buffer.from(payloadBase64!, 'base64') : withIds(payload, ids))
    } else if (kind === 'frame') {
      const recorded = await decode(payload ?? Buffer.from(payloadBase64!, 'base64'))
      // oRPC's implementation numbers its events from 1.
      if (isEvent(recorded) && Number(recorded.p.m.id) > published) await publish(1)
      const ours = await decode(await sockets[conn]!.message(received[conn]!))
      received[conn]! += 1
      if (isEvent(recorded)) {
        ids.set(recorded.p.m.id, ours.p.m.id)
        expect(ours.p.m.id).toMatch(/^\d{16}$/)
        recorded.p.m.id = ours.p.m.id
        // An empty list of comments equals a missing one.
        if (recorded.p.m.comments?.length === 0) delete recorded.p.m.comments
      }
      const different = recorded.t === undefined ? DIFFERENT[name]?.[recorded.i] : undefined
      expect(ours).toEqual(different === undefined ? recorded : { i: recorded.i, p: different })
    }
  }

  // Nothing else was sent: the next frame is the response to the next call.
  for (const [conn, socket] of sockets.entries()) {
    if (socket.closed) continue
    socket.send({ i: 'last', p: { u: '/call', b: { json: { path: ['router', 'ping'] } } } })
    expect(await decode(await socket.message(received[conn]!))).toMatchObject({ i: 'last' })
    socket.vanish()
  }
})

/** The claims in the token of a recorded upgrade request. */
function claimsOf(url: string): { chn: string; rpc: string[]; att?: unknown } {
  const payload = new URL(url, 'http://localhost').searchParams.get('token')!.split('.')[1]!
  return JSON.parse(Buffer.from(payload, 'base64url').toString())
}

/** A frame with the recorded cursor replaced by our event id. */
function withIds(payload: string, ids: Map<string, string>): string {
  const frame = JSON.parse(payload)
  const recorded = frame.p?.h?.['last-event-id']
  if (recorded === undefined) return payload
  frame.p.h['last-event-id'] = ids.get(recorded)
  return JSON.stringify(frame)
}
