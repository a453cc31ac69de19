// A Worker that calls RPC methods of stubs with `callStub`: `{ binding, name, method, args }`.

import { callStub } from 'durable-event-iterator/durable-object'

export default {
  async fetch(request: Request, env: Record<string, DurableObjectNamespace>): Promise<Response> {
    const { binding, name, method, args } = await request.json<{ binding: string; name: string; method: string; args: unknown[] }>()
    try {
      return Response.json({ result: (await callStub(env[binding]!.getByName(name), method, ...args)) ?? null })
    } catch (thrown) {
      const error = thrown as Error & { code?: string; status?: number; failure?: string }
      return Response.json({ error: { name: error.name, message: error.message, code: error.code, status: error.status, failure: error.failure } })
    }
  },
}
