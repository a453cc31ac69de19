// The parts of the Workers runtime that this package's Durable Object classes use. Applications have the complete types, by
// `wrangler types` or `@cloudflare/workers-types`, which contradict those of the browser. This file is not published.

declare module 'cloudflare:workers' {
  export abstract class DurableObject<Env = unknown, Props = unknown> {
    protected ctx: DurableObjectState<Props>
    protected env: Env
    constructor(ctx: DurableObjectState, env: Env)
    alarm?(info?: AlarmInvocationInfo): void | Promise<void>
    fetch?(request: Request): Response | Promise<Response>
    webSocketMessage?(ws: WebSocket, message: string | ArrayBuffer): void | Promise<void>
    webSocketClose?(ws: WebSocket, code: number, reason: string, wasClean: boolean): void | Promise<void>
    webSocketError?(ws: WebSocket, error: unknown): void | Promise<void>
  }
}

interface DurableObjectState<Props = unknown> {
  readonly props: Props
  readonly storage: { readonly sql: { readonly databaseSize: number } }
  getWebSockets(tag?: string): WebSocket[]
}

interface AlarmInvocationInfo {
  readonly isRetry: boolean
  readonly retryCount: number
}

declare namespace Cloudflare {
  interface Env {}
}
