import type { SocketLayer, SocketSource } from '../client/socket-source.js'
import { TabSocket } from './tab-socket.js'
import type { Legacy } from './tab-socket.js'

/** The options of {@link shareBetweenTabs}. */
export interface TabSharingOptions {
  /**
   * The time without a response of the leading tab after which a visible tab takes over, in milliseconds: the leading tab may be
   * frozen, or busy.
   *
   * @default 5000
   */
  leaderTimeout?: number | undefined
}

/**
 * Shares one WebSocket between the tabs of a browser, for the option `share` of a subscription. One tab has the WebSocket, and the
 * others use it. If that tab is closed, crashes or is frozen, another one takes over, and every tab resumes after its last event.
 *
 * Without Web Locks or BroadcastChannel, as on pages without HTTPS, each tab has a WebSocket of its own.
 *
 * @param key - The same for all subscriptions that may share, and for no others. Since the calls of all tabs use the token of one
 * tab, the key must name the user as well as the channel.
 *
 * @throws {RangeError} When the key is empty, or the time is not positive.
 *
 * @example
 * ```ts
 * import { subscribe } from 'durable-event-iterator/client'
 * import { shareBetweenTabs } from 'durable-event-iterator/tabs'
 *
 * const events = subscribe({ url, token, share: shareBetweenTabs(`${userId} ${room}`) })
 * ```
 */
export function shareBetweenTabs(key: string, { leaderTimeout = 5_000 }: TabSharingOptions = {}): SocketLayer {
  if (typeof key !== 'string' || key === '') throw new RangeError(`key must be a non-empty string, got ${JSON.stringify(key)}`)
  if (!(leaderTimeout > 0)) throw new RangeError(`leaderTimeout must be greater than 0, got ${leaderTimeout}`)
  return { over: (sockets) => sharedSockets(sockets, PREFIX + key, leaderTimeout) }
}

function sharedSockets(sockets: SocketSource, name: string, leaderTimeout: number): SocketSource {
  const legacies: Legacy[] = []
  return {
    ...sockets,
    open: (url, info) => {
      const { navigator, BroadcastChannel } = globalThis as Partial<typeof globalThis>
      const locks = navigator?.locks as LockManager | undefined
      if (locks === undefined || BroadcastChannel === undefined) return sockets.open(url, info)
      const leave = (legacy: Legacy): void => {
        legacies.push(legacy)
        setTimeout(() => {
          const index = legacies.indexOf(legacy)
          if (index < 0) return
          legacies.splice(index, 1)
          legacy.lock.release()
        }, LEGACY_MS)
      }
      const legacy = legacies.shift()
      return new TabSocket({ url, info, name, locks, sockets, leaderTimeout, legacy, leave })
    },
  }
}

/** Tabs with another version of the messages have another prefix. */
const PREFIX = 'durable-event-iterator/1 '

/** The time within which the client opens the next socket, in milliseconds: its attempts start up to a second apart. */
const LEGACY_MS = 2_000
