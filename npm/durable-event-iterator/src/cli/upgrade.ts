// The upgrade endpoint of a Worker, and the WebSocket class of this Node.js.

import type { WebSocketClass } from '../client/socket-source.js'
import type { Settings } from './settings.js'

/** The path of the generic Worker, and the path of the templates. */
const USUAL_PATHS = ['/', '/events']

/** The status of an upgrade endpoint for a request that is not an upgrade. */
export const UPGRADE_REQUIRED = 426

/** In milliseconds. */
const TIMEOUT_MS = 10_000

/**
 * Returns the URL of the upgrade endpoint: with the path that is set, or the first usual path at which an upgrade endpoint responds, or
 * one that fails. `undefined` if there is none.
 */
export async function findUpgradeUrl({ url, upgradePath }: Settings, signal?: AbortSignal): Promise<string | undefined> {
  if (upgradePath !== undefined) return url + upgradePath
  let failing: string | undefined
  for (const path of USUAL_PATHS) {
    const signals = [AbortSignal.timeout(TIMEOUT_MS), ...(signal === undefined ? [] : [signal])]
    const init: RequestInit = { redirect: 'manual', signal: AbortSignal.any(signals) }
    const response = await fetch(url + path, init).catch(() => undefined)
    await response?.body?.cancel().catch(() => {})
    if (response?.status === UPGRADE_REQUIRED) return url + path
    // Without its signing key, an upgrade endpoint fails.
    if (response?.status === 500) failing ??= url + path
  }
  return failing
}

/** Returns `WebSocket` of this Node.js, or that of the package `ws`: Node.js 20 has none. */
export async function webSocketClass(): Promise<WebSocketClass> {
  const { WebSocket } = globalThis as { WebSocket?: WebSocketClass }
  return WebSocket ?? ((await import('ws')).WebSocket as unknown as WebSocketClass)
}
