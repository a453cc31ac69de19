// Reads what the runtime reports to its inspector, and `wrangler dev` prints.

import type { RunningWorkers } from './workerd.ts'

/** An uncaught exception of a Worker. */
export interface Uncaught {
  text: string
  /** The functions of its stack trace, innermost first. */
  stack: string[]
}

interface InspectorMessage {
  id?: number
  method?: string
  params: { exceptionDetails: { text: string; stackTrace?: { callFrames: { functionName: string }[] } } }
}

export interface UncaughtExceptions {
  /** Returns the next exception. */
  take(): Promise<Uncaught>
  close(): void
}

/** Collects the uncaught exceptions of a Worker from now on. Requires `inspectable`. */
export async function collectUncaught({ miniflare }: RunningWorkers, worker: string): Promise<UncaughtExceptions> {
  const url = await miniflare.getInspectorURL()
  url.protocol = 'http:'
  url.pathname = '/json'
  const targets = (await (await fetch(url)).json()) as { id: string; webSocketDebuggerUrl: string }[]
  const target = targets.find(({ id }) => id === `core:user:${worker}`)
  if (target === undefined) throw new Error(`The inspector has no ${worker} among ${targets.map(({ id }) => id).join(', ')}`)

  const arrived: Uncaught[] = []
  const waiting: ((exception: Uncaught) => void)[] = []
  const socket = new WebSocket(target.webSocketDebuggerUrl)
  await new Promise<void>((resolve, reject) => {
    socket.addEventListener('error', reject)
    socket.addEventListener('open', () => socket.send(JSON.stringify({ id: 1, method: 'Runtime.enable' })))
    socket.addEventListener('message', ({ data }) => {
      const { id, method, params } = JSON.parse(data as string) as InspectorMessage
      if (id === 1) {
        arrived.length = 0 // earlier exceptions are reported first
        resolve()
      }
      if (method !== 'Runtime.exceptionThrown') return
      const { text, stackTrace } = params.exceptionDetails
      const uncaught = { text, stack: stackTrace?.callFrames.map(({ functionName }) => functionName) ?? [] }
      const take = waiting.shift()
      if (take) take(uncaught)
      else arrived.push(uncaught)
    })
  })
  return {
    take: () => new Promise((resolve) => (arrived.length > 0 ? resolve(arrived.shift()!) : waiting.push(resolve))),
    close: () => socket.close(),
  }
}
