// What differs between the oRPC versions that the imports can resolve to.

import * as orpc from '@orpc/client'

/** Returns oRPC's `AsyncIteratorClass`, which not every version exports. */
export function asyncIteratorClass(): Function {
  const exported: Partial<Pick<typeof orpc, 'AsyncIteratorClass' | 'mapEventIterator'>> = orpc
  return exported.AsyncIteratorClass ?? Object.getPrototypeOf(exported.mapEventIterator!({} as never, {} as never)).constructor
}

type RequestInterceptor = (options: { next(request: object): Promise<unknown> }) => Promise<unknown>

interface LinkOptions {
  clientInterceptors?: RequestInterceptor[]
  transportInterceptors?: RequestInterceptor[]
}

/** Returns a link plugin that calls a function before each request. */
export function beforeRequests(run: () => Promise<void>): never {
  const interceptor: RequestInterceptor = async ({ next, ...request }) => {
    await run()
    return next(request)
  }
  const plugin = {
    name: 'before-requests',
    init(options: LinkOptions): LinkOptions {
      // oRPC 1.x uses the arrays that a plugin has changed, 2.x the options that it returns.
      options.clientInterceptors?.push(interceptor)
      return { ...options, transportInterceptors: [...(options.transportInterceptors ?? []), interceptor] }
    },
  }
  return plugin as never
}
