// The recorded conversations of an unmodified client (`tests/frames`): the peer sends the same requests, and receives the
// recorded responses and events.

import { readFileSync, readdirSync } from 'node:fs'

import { expect, test } from 'vitest'

import { Peer } from '../../../npm/durable-event-iterator/src/client/wire/peer.ts'
import type { PeerCall, WireMessage } from '../../../npm/durable-event-iterator/src/client/wire/peer.ts'
import { Serializer } from '../../../npm/durable-event-iterator/src/client/wire/serializer.ts'
import { describeValue } from '../../golden/corpus.ts'
import { idle } from './support.ts'

interface Exchange {
  kind: string
  conn: number
  dir: 'c2s' | 's2c'
  payload?: string
  payloadBase64?: string
}

const folder = new URL('../../frames/', import.meta.url)
const recordings = readdirSync(folder)
  .map((file) => JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as { name: string; exchanges: Exchange[] })
  .map(({ name, exchanges }): [string, Exchange[]] => [name, exchanges.filter(({ kind }) => kind === 'frame')])
  .filter(([, frames]) => frames.length > 0)

const DELIMITER = 0xff
const serializer = new Serializer()

/** The JSON of a recorded frame, and its form. */
async function decode({ payload, payloadBase64 }: Exchange): Promise<{ frame: any; form: FormData | undefined }> {
  if (payload !== undefined) return { frame: JSON.parse(payload), form: undefined }
  const bytes = Buffer.from(payloadBase64!, 'base64')
  const end = bytes.indexOf(DELIMITER)
  const frame = JSON.parse(bytes.subarray(0, end).toString())
  return { frame, form: await new Response(bytes.subarray(end + 1), { headers: frame.p.h }).formData() }
}

/** The connections of a recording: the recorded ids of a call and those of the peer are different. */
class Connection {
  readonly #peer = new Peer((message) => this.sent.push(message))
  readonly #calls = new Map<string, PeerCall>()
  readonly #ids = new Map<string, string>()
  readonly sent: WireMessage[] = []
  readonly received: [id: string, ...unknown[]][] = []

  async send(exchange: Exchange): Promise<void> {
    const { frame: { i, t, p }, form } = await decode(exchange)
    if (t === 4) {
      this.#calls.get(i)?.abort()
      expect(this.sent.pop()).toBe(JSON.stringify({ i: this.#ids.get(i), t: 4 }))
      return
    }
    // Restored and serialized again, the body must be the same.
    const body = serializer.serialize(serializer.deserialize(form ?? structuredClone(p.b)))
    const call = this.#peer.open({ url: p.u, headers: p.h, method: p.m, body }, {
      onResponse: ({ status, body }, isStream) => this.received.push([i, status, isStream ? 'stream' : serializer.deserialize(body)]),
      onItem: ({ event, data, meta }) => this.received.push([i, event, serializer.deserialize(data), meta]),
      onFailed: (error) => this.received.push([i, error]),
    })
    this.#calls.set(i, call)
    while (this.sent.length === 0) await idle()
    const message = this.sent.pop()!
    const sent = await decode(typeof message === 'string' ? { ...exchange, payload: message } : { ...exchange, payloadBase64: Buffer.from(message).toString('base64') })
    this.#ids.set(i, sent.frame.i)
    if (form === undefined) {
      expect(JSON.stringify(sent.frame.p)).toBe(JSON.stringify(p))
    } else {
      expect(await Promise.all([...sent.form!].map(([, part]) => describeValue(part)))).toEqual(await Promise.all([...form].map(([, part]) => describeValue(part))))
    }
  }

  async receive(exchange: Exchange): Promise<void> {
    const { frame: { i, t, p }, form } = await decode(exchange)
    // The recorded client has sent this request over an earlier connection, or before the recording.
    const id = this.#ids.get(i) ?? expect.unreachable(`no request ${i}`)
    const count = this.received.length
    const bytes = Buffer.from(exchange.payloadBase64 ?? '', 'base64')
    const head = `"i":"${id}"`
    if (form === undefined) this.#peer.receive(exchange.payload!.replace(`"i":"${i}"`, head))
    else this.#peer.receive(new Uint8Array(Buffer.concat([Buffer.from(bytes.subarray(0, bytes.indexOf(DELIMITER)).toString().replace(`"i":"${i}"`, head)), bytes.subarray(bytes.indexOf(DELIMITER))])).buffer)
    while (this.received.length === count) await idle()
    const [of, ...received] = this.received.at(-1)!
    expect(of).toBe(i)
    const isStream = p.h?.['content-type'] === 'text/event-stream'
    const expected = t === 3
      ? [p.e, serializer.deserialize(p.d), p.m]
      : [p.s ?? 200, isStream ? 'stream' : serializer.deserialize(form ?? p.b)]
    expect(await describeValue(received)).toEqual(await describeValue(expected))
  }
}

test.each(recordings)('%s', async (_, frames) => {
  const connections: Connection[] = []
  for (const exchange of frames) {
    const connection = (connections[exchange.conn] ??= new Connection())
    await (exchange.dir === 'c2s' ? connection.send(exchange) : connection.receive(exchange))
  }
  expect(connections.flat().length).toBeGreaterThan(0)
})
