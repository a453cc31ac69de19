// A Worker that uses oRPC's publisher, unmodified, on the Durable Objects of another Worker; and one that forwards the requests of
// clients to them, in every way that a Worker may.

import { StandardRPCJsonSerializer } from '@orpc/client/standard'
import { DurablePublisher } from '@orpc/experimental-publisher-durable-object'

// The publisher reads the meta of events with its own copy of this package.
import { getEventMeta, withEventMeta } from '../../node_modules/@orpc/experimental-publisher-durable-object/node_modules/@orpc/standard-server/dist/index.mjs'

type Env = Record<string, DurableObjectNamespace>
type Events = Record<string, any>

class User {
  readonly name: string
  constructor(name: string) {
    this.name = name
  }
}

const customJsonSerializers = [
  {
    type: 21,
    condition: (value: unknown) => value instanceof User,
    serialize: ({ name }: User) => ({ name }),
    deserialize: ({ name }: User) => new User(name),
  },
]

/** Serializes payloads between the tests and this Worker. */
const serializer = new StandardRPCJsonSerializer({ customJsonSerializers })

/** What a subscriber receives, as the tests read it. */
interface Line {
  opened?: true
  /** The value of the gap header, which the publisher itself does not read. */
  gap?: string
  json?: unknown
  meta?: unknown
  eventMeta?: unknown
  isUser?: boolean
  error?: string
  cause?: string | undefined
  done?: true
}

/** Returns the publisher. `onResponse` receives the responses of its Durable Objects. */
function publisherOf(env: Env, query: URLSearchParams, onResponse?: (response: Response) => void): DurablePublisher<Events> {
  const prefix = query.get('prefix') ?? undefined
  const lastOf = (name: string): string => name.split('/').at(-1)!
  return new DurablePublisher<Events>(env[query.get('binding')!]!, {
    customJsonSerializers,
    maxBufferedEvents: 100_000,
    ...(prefix !== undefined && { prefix }),
    ...(query.get('by') === 'id' && {
      getStubByName: (namespace, event) => namespace.get(namespace.idFromName(lastOf(event))),
    }),
    ...(onResponse !== undefined && {
      getStubByName: (namespace, event) => observed(namespace.getByName(event), onResponse),
    }),
  })
}

/** Returns a stub whose responses are observed, without changes. */
function observed(stub: DurableObjectStub, onResponse: (response: Response) => void): DurableObjectStub {
  const fetch = async (...request: Parameters<DurableObjectStub['fetch']>): Promise<Response> => {
    const response = await stub.fetch(...request)
    onResponse(response)
    return response
  }
  return { fetch } as DurableObjectStub
}

/** Publishes the body, a serialized payload. */
async function publish(request: Request, env: Env, query: URLSearchParams): Promise<Response> {
  const { json, meta = [], eventMeta } = (await request.json()) as { json?: unknown; meta?: any; eventMeta?: object }
  const payload: any = serializer.deserialize(json, meta)
  const withMeta = eventMeta === undefined ? payload : withEventMeta(payload, eventMeta)
  try {
    await publisherOf(env, query).publish(query.get('event')!, withMeta)
    return Response.json({})
  } catch (error) {
    const { message, cause } = error as Error & { cause?: Response }
    return Response.json({ error: message, status: cause?.status, body: await cause?.text?.() })
  }
}

/** Publishes `count` events `{ n, padding }` one after another, beginning with the number `from`. */
async function publishMany(env: Env, query: URLSearchParams): Promise<Response> {
  const publisher = publisherOf(env, query)
  const padding = 'x'.repeat(Number(query.get('size') ?? 0))
  const from = Number(query.get('from') ?? 1)
  for (let n = from; n < from + Number(query.get('count')); n++) await publisher.publish(query.get('event')!, { n, padding })
  return new Response()
}

/** Streams what a subscriber receives, as lines of JSON. */
function subscribe(request: Request, env: Env, query: URLSearchParams, context: ExecutionContext): Response {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
  const writer = writable.getWriter()
  const encoder = new TextEncoder()
  const write = (line: Line): void => void writer.write(encoder.encode(`${JSON.stringify(line)}\n`)).catch(() => {})
  const onPayload = (payload: any): void => {
    const eventMeta = getEventMeta(payload)
    const [json, meta] = serializer.serialize(payload)
    write({ json, meta, eventMeta, isUser: payload?.user instanceof User })
  }
  const onError = (error: Error): void => write({ error: error.message, cause: String((error.cause as Error | undefined)?.message) })
  const lastEventId = query.get('lastEventId') ?? undefined
  let gap: string | null = null
  const onResponse = ({ headers }: Response): void => void (gap = headers.get('x-durable-event-gap'))
  const publisher = publisherOf(env, query, query.has('by') ? undefined : onResponse)
  const event = query.get('event')!
  const run = async (): Promise<void> => {
    if (query.get('form') === 'listener') {
      const unsubscribe = await publisher.subscribe(event, onPayload, { lastEventId, onError })
      write({ opened: true, ...(gap !== null && { gap }) })
      await new Promise((resolve) => request.signal.addEventListener('abort', resolve))
      await unsubscribe()
    } else {
      const iterator = publisher.subscribe(event, { lastEventId, signal: request.signal })
      // The publisher has subscribed when a payload with this number has arrived.
      for await (const payload of iterator) onPayload(payload)
    }
  }
  context.waitUntil(
    run()
      .catch(onError)
      .then(() => {
        write({ done: true })
        return writer.close()
      })
      .catch(() => {}),
  )
  return new Response(readable)
}

/** Opens a subscriber's socket without the publisher. Responds with the response's status, text and headers. */
async function open(env: Env, query: URLSearchParams, headers: HeadersInit): Promise<Response> {
  const stub = env[query.get('binding')!]!.getByName(query.get('event')!)
  const response = await stub.fetch('http://localhost/subscribe', { headers: { upgrade: 'websocket', ...(headers as object) } })
  const { status, webSocket } = response
  const answer = { status, text: webSocket ? '' : await response.text(), headers: Object.fromEntries(response.headers) }
  if (webSocket && query.get('send') !== null) {
    const closed = new Promise<CloseEvent>((resolve) => webSocket.addEventListener('close', resolve))
    webSocket.accept()
    webSocket.send(query.get('send')!)
    const { code, reason } = await closed
    return Response.json({ ...answer, closed: { code, reason } })
  }
  webSocket?.accept()
  if (query.get('keep') === null) webSocket?.close()
  return Response.json(answer)
}

/** How this Worker forwards all requests, and where to; undefined to handle them. */
let forwarding: { how: string; binding: string; event: string; to: string } | undefined

/** The ways in which a Worker may forward a client's request to a stub. */
const forwards: Record<string, (request: Request, to: string, stub: DurableObjectStub) => Promise<Response>> = {
  asItIs: (request, _, stub) => stub.fetch(request),
  cloned: (request, _, stub) => stub.fetch(request.clone()),
  copied: (request, _, stub) => stub.fetch(new Request(request)),
  withNewUrl: (request, to, stub) => stub.fetch(new Request(to, request)),
  withNewUrlAsInit: (request, to, stub) => stub.fetch(to, request),
  withUrlAndInit: (request, to, stub) => stub.fetch(to, { method: request.method, headers: request.headers, body: request.body }),
  withHeaders: (request, to, stub) =>
    stub.fetch(new Request(to, { method: request.method, headers: new Headers(request.headers), body: request.body })),
  withoutHost: (request, to, stub) => {
    const headers = new Headers(request.headers)
    headers.delete('host')
    return stub.fetch(new Request(to, { method: request.method, headers, body: request.body }))
  },
  // Without a header of the client: the Worker's own request.
  asItsOwn: (request, to, stub) => stub.fetch(to, { method: request.method, body: request.body }),
  withMutableUrl: (request, to, stub) => {
    const url = new URL(request.url)
    const target = new URL(to)
    Object.assign(url, { protocol: 'http:', host: target.host, port: '', pathname: target.pathname, search: '' })
    return stub.fetch(new Request(url, request))
  },
}

export default {
  async fetch(request: Request, env: Env, context: ExecutionContext): Promise<Response> {
    const { pathname, searchParams: query } = new URL(request.url)
    if (pathname === '/forward') {
      forwarding = (await request.json()) as typeof forwarding
      return new Response()
    }
    if (forwarding !== undefined) {
      const { how, binding, event, to } = forwarding
      return forwards[how]!(request, to, env[binding]!.getByName(event))
    }
    switch (pathname) {
      case '/publish':
        return publish(request, env, query)
      case '/publish-many':
        return publishMany(env, query)
      case '/publish-text': {
        const stub = env[query.get('binding')!]!.getByName(query.get('event')!)
        return stub.fetch('http://localhost/publish', { method: 'POST', body: await request.arrayBuffer() })
      }
      case '/subscribe':
        return subscribe(request, env, query, context)
      case '/open':
        return open(env, query, query.has('lastEventId') ? { 'last-event-id': query.get('lastEventId')! } : {})
      default:
        return new Response('Not Found', { status: 404 })
    }
  },
}
