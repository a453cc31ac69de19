// Depends on oRPC 2.x: `StandardHandler`, and the interface of its codec. They have other types in oRPC 1.x.

import { StandardHandler } from '@orpc/server/standard'

import type { Bodies, EncodedResponse } from './bodies.js'
import { PROCEDURE } from './call-handler.js'
import type { CallHandler } from './call-handler.js'

interface Request {
  readonly resolveBody: () => Promise<unknown>
}

type Handler = new (
  codec: {
    resolveProcedure(request: Request): { path: string[]; procedure: object; decodeInput(): Promise<unknown> }
    encodeOutput(output: unknown): object
    encodeError(error: unknown): object
  },
  options: object,
) => { handle(request: object, options: { context: object }): Promise<{ response?: EncodedResponse | undefined }> }

/** Creates a handler for the format of oRPC 1.x, which 2.x has changed. */
export function createHandlerV2(procedure: object, bodies: Bodies, options: object): CallHandler {
  const handler = new (StandardHandler as unknown as Handler)(
    {
      resolveProcedure: ({ resolveBody }) => ({
        path: [PROCEDURE],
        procedure,
        decodeInput: async () => bodies.decode(await resolveBody()),
      }),
      encodeOutput: (output) => ({ status: 200, headers: {}, body: bodies.encode(output) }),
      encodeError: (error) => ({ headers: {}, ...bodies.encodeError(error) }),
    },
    options,
  )
  return async ({ body, ...request }, context) => {
    const { response } = await handler.handle({ method: 'POST', url: `/${PROCEDURE}`, ...request, resolveBody: body }, { context })
    return response
  }
}
