// Depends on oRPC 1.x: `StandardHandler`, and the interfaces of its matcher and codec. They have other types in oRPC 2.x.

import { StandardHandler } from '@orpc/server/standard'

import type { Bodies, EncodedResponse } from './bodies.js'
import { PROCEDURE } from './call-handler.js'
import type { CallHandler } from './call-handler.js'

interface Request {
  readonly body: () => Promise<unknown>
}

type Handler = new (
  router: object,
  matcher: { init(): void; match(): Promise<{ path: string[]; procedure: object }> },
  codec: {
    decode(request: Request): Promise<unknown>
    encode(output: unknown): object
    encodeError(error: unknown): object
  },
  options: object,
) => { handle(request: object, options: { context: object }): Promise<{ response?: EncodedResponse | undefined }> }

/** The URL of the requests that interceptors and plugins see. Only its path is meaningful. */
const URL_OF_CALLS = `http://durable-object/${PROCEDURE}`

/** Creates a handler that does what oRPC's RPC handler does, with our serializer. */
export function createHandlerV1(procedure: object, bodies: Bodies, options: object): CallHandler {
  const handler = new (StandardHandler as unknown as Handler)(
    { [PROCEDURE]: procedure },
    { init: () => {}, match: async () => ({ path: [PROCEDURE], procedure }) },
    {
      decode: async (request) => bodies.decode(await request.body()),
      encode: (output) => ({ status: 200, headers: {}, body: bodies.encode(output) }),
      encodeError: (error) => ({ headers: {}, ...bodies.encodeError(error) }),
    },
    options,
  )
  return async (request, context) => {
    const { response } = await handler.handle({ method: 'POST', url: new URL(URL_OF_CALLS), ...request }, { context })
    return response
  }
}
