// A Worker that reads channels through stubs.

import { getEventMeta, readStub, StubError, subscribeToStub } from 'durable-event-iterator/stub'
import type { ReadQuery, SubscribeToStubOptions } from 'durable-event-iterator/stub'

/** What a test asks the Worker to do. */
export interface Task {
  binding: string
  channel: string
  /** Reads a page. */
  read?: ReadQuery
  /** Responds with lines: each state, gap and event. An event with `isLast` ends the iteration, one with `aborts` the signal. */
  follow?: SubscribeToStubOptions
  /** Copies this number of events to another channel, after the response. */
  copy?: { to: string; count: number }
}

/** A line of the response to `follow`. */
export type Line =
  | { state: string; error?: string }
  | { gap: string; after: string | undefined }
  | { event: unknown; id: string | undefined }
  | { ended: string | null; name?: string; status?: number }

interface Namespace {
  getByName(name: string): { fetch(url: string, init: object): Promise<object>; publish(event: object): Promise<unknown> }
}

export default {
  async fetch(request: Request, env: Record<string, Namespace>, context: { waitUntil(promise: Promise<unknown>): void }): Promise<Response> {
    const { binding, channel, read, follow, copy }: Task = await request.json()
    const namespace = env[binding]!
    const stub = namespace.getByName(channel)
    if (read !== undefined) {
      try {
        const page = await readStub<object>(stub, read)
        return Response.json({ ...page, metas: page.events.map(getEventMeta) })
      } catch (error) {
        return Response.json({ error: error instanceof StubError && [error.code, error.message] })
      }
    }
    if (copy !== undefined) {
      context.waitUntil(
        (async () => {
          let copied = 0
          for await (const event of subscribeToStub<object>(stub, { lastEventId: '0' })) {
            await namespace.getByName(copy.to).publish(event)
            if (++copied === copy.count) break
          }
        })(),
      )
      return new Response(null, { status: 202 })
    }
    const controller = new AbortController()
    const { readable, writable } = new TransformStream()
    const writer = writable.getWriter()
    const encoder = new TextEncoder()
    const write = (line: Line): Promise<void> => writer.write(encoder.encode(`${JSON.stringify(line)}\n`))
    const events = subscribeToStub<object>(stub, {
      minReconnectionDelay: 50,
      ...follow,
      signal: controller.signal,
      onStateChange: (state, { error }) => void write({ state, ...(error instanceof Error && { error: error.message }) }).catch(() => {}),
      onGap: ({ lastEventId, nextEventId }) => void write({ gap: nextEventId, after: lastEventId }),
    })
    context.waitUntil(
      (async () => {
        try {
          for await (const event of events) {
            await write({ event, id: getEventMeta(event)?.id })
            if ('isLast' in event) break
            if ('aborts' in event) controller.abort(new Error('enough'))
          }
          await write({ ended: null })
        } catch (error) {
          const { name, message, status } = error as Error & { status?: number }
          await write({ ended: message, name, ...(status !== undefined && { status }) })
        }
        await writer.close()
      })().catch(() => events.close()),
    )
    return new Response(readable)
  },
}
