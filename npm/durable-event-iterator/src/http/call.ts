import { headOf } from '../client/wire/envelope.js'
import type { Frame, SocketMessage } from '../client/wire/envelope.js'
import { bytesOf, hasType, MAX_BODY_BYTES, partsOf, textOf } from './bodies.js'
import { isJson } from './door.js'
import type { Door } from './door.js'
import { EventStreamParser } from './event-stream.js'
import type { ServerSentEvent } from './event-stream.js'

/**
 * Sends a call as an HTTP request, and delivers its response as frames.
 *
 * @throws {DurableEventIteratorConnectionError} When it is unknown whether the call has been executed: there is no response, or it is
 * malformed or not from the endpoint.
 */
export async function call(door: Door, { i, p, binary }: Frame, signal: AbortSignal, deliver: (message: SocketMessage) => void): Promise<void> {
  const { h = {}, b } = p as { h?: Record<string, string>; b?: unknown }
  const type = binary === undefined ? 'application/json' : h['content-type']!
  const headers = { ...h, 'content-type': type, accept: 'application/json, multipart/form-data, text/event-stream' }
  const response = await door.request('call', {}, { method: 'POST', headers, body: binary ?? JSON.stringify(b ?? {}), signal })
  try {
    const type = response.headers.get('content-type')
    const frame = (more: object): string => `${headOf(i)},"p":${JSON.stringify({ s: response.status, ...more })}}`
    if (hasType(response, EVENT_STREAM)) {
      deliver(frame({ h: { ...headersOf(response), 'content-type': type } }))
      await readItems(i, response, deliver)
    } else if (hasType(response, 'multipart/form-data')) {
      const text = frame({ h: { ...headersOf(response), 'content-type': type } })
      deliver(await new Blob([text, Uint8Array.of(DELIMITER), await bytesOf(response)]).arrayBuffer())
    } else if (isJson(response)) {
      deliver(frame({ h: headersOf(response), b: JSON.parse(await textOf(response)) }))
    } else {
      throw door.foreign(response)
    }
  } catch (error) {
    throw door.malformed(error)
  }
}

/** Delivers the items of a stream, of which `error` or `done` is the last one. */
async function readItems(id: string, response: Response, deliver: (message: string) => void): Promise<void> {
  const parser = new EventStreamParser(MAX_BODY_BYTES)
  const decoder = new TextDecoder()
  for await (const part of partsOf(response)) {
    for (const event of parser.push(decoder.decode(part, { stream: true }))) {
      deliver(itemOf(id, event))
      if (event.event !== 'message') return
    }
  }
  throw new Error('the stream was cut')
}

function itemOf(i: string, { event, data, id, retry, comments }: ServerSentEvent): string {
  const d: unknown = data === undefined || data === '' ? {} : JSON.parse(data)
  const m = { id, retry, ...(comments.length > 0 && { comments }) }
  return JSON.stringify({ i, t: 3, p: { e: event, d, ...(Object.values(m).some((value) => value !== undefined) && { m }) } })
}

/** Returns the headers of the Durable Object, which those of a proxy do not contain. */
function headersOf({ headers }: Response): Record<string, string> {
  return Object.fromEntries([...headers].filter(([name]) => name.startsWith('x-durable-event-')))
}

const EVENT_STREAM = 'text/event-stream'

/** Between the JSON and the bytes of a binary message. */
const DELIMITER = 0xff
