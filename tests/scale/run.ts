// Very many sockets on one Durable Object: the time until a publish reaches all of them, awake and hibernated, and their
// memory.

import { readFileSync, readdirSync } from 'node:fs'

import { startJournals } from '../support/journals.ts'
import { BareSocket } from '../support/socket.ts'
import { CROWD, Crowd } from './crowd.ts'

export interface Scale {
  sockets: number
  /** The number of sockets that another Durable Object of the runtime opened, since file descriptors are limited. */
  inside: number
  /** The growth of the runtime's memory per socket, in bytes. */
  bytesPerSocket: number
  /** The time to connect and subscribe all sockets in batches, in milliseconds. */
  connectMs: number
  /** The time from the publish until all sockets had the event, in milliseconds: awake, and hibernated. */
  awakeMs: number
  wakingMs: number
  /** The time until `publish` returned, in milliseconds. */
  awakePublishMs: number
  wakingPublishMs: number
}

/** The number of sockets that open at once: the queue of a listening socket is limited. */
const BATCH = 50

/** The file descriptors of the runtime without connections, and per connection. */
const OTHER_FILES = 400
const FILES_PER_CONNECTION = 2

/**
 * Opens sockets on one Durable Object and publishes to them twice: before and after hibernation. With
 * `perMessageDeflate` each socket has a compression window at both ends, which is most of its memory; at Cloudflare, it is not
 * memory of the isolate. By default, `inside` is the number of sockets beyond the available file descriptors.
 */
export async function scale(
  sockets: number,
  { perMessageDeflate = false, inside = Math.max(0, sockets - connectionLimit()), onProgress = (_: string): void => {} } = {},
): Promise<Scale> {
  const journals = await startJournals({ workers: [CROWD] })
  try {
    const crowd = await Crowd.of(journals)
    const chn = 'everybody'
    const url = await journals.upgrade('USUAL', { chn })
    // The cost of the first Durable Object and the first socket does not depend on the number.
    await journals.stub('USUAL', chn, 'publish', { n: 0 })
    const before = residentBytes(journals.pid)
    const startedAt = performance.now()
    const open: BareSocket[] = []
    while (open.length < sockets - inside) {
      const count = Math.min(BATCH, sockets - inside - open.length)
      const batch = await Promise.all(Array.from({ length: count }, () => BareSocket.open(url, { perMessageDeflate })))
      for (const socket of batch) socket.send({ i: 's', p: { u: '/subscribe', b: {}, h: { 'last-event-id': '0' } } })
      // The response, and the earlier event.
      await Promise.all(batch.map((socket) => socket.frames(2)))
      open.push(...batch)
      if (open.length % 1_000 === 0) onProgress(`${open.length} sockets`)
    }
    while (crowd.size < inside) await crowd.open(url, Math.min(BATCH, inside - crowd.size), { events: 1 })
    const connectMs = performance.now() - startedAt
    const bytesPerSocket = (residentBytes(journals.pid) - before) / sockets

    const publish = async (n: number): Promise<{ publish: number; all: number }> => {
      const at = performance.now()
      const everybody = Promise.all([crowd.message(n + 1), ...open.map((socket) => socket.message(n + 1))])
      const id = await journals.stub('USUAL', chn, 'publish', { n })
      const answered = performance.now() - at
      const expected = `{"i":"s","t":3,"p":{"e":"message","d":{"json":{"n":${n}}},"m":{"id":"${id}"}}}`
      for (const message of (await everybody).flat()) if (message !== expected) throw new Error(`${message} instead of ${expected}`)
      return { publish: answered, all: performance.now() - at }
    }
    const awake = await publish(1)
    await journals.hibernate('USUAL', chn)
    const waking = await publish(2)
    for (const socket of open) socket.vanish()
    return {
      sockets, inside, bytesPerSocket, connectMs,
      awakeMs: awake.all, wakingMs: waking.all, awakePublishMs: awake.publish, wakingPublishMs: waking.publish,
    }
  } finally {
    await journals.dispose()
  }
}

/** Returns the maximum number of connections of the runtime, which has the limit of this process. */
function connectionLimit(): number {
  const limit = /Max open files\s+\d+\s+(\d+)/.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]
  return limit === undefined ? Infinity : Math.floor((Number(limit) - OTHER_FILES) / FILES_PER_CONNECTION)
}

/** Returns the memory of a process and its children, in bytes. Linux only. */
function residentBytes(pid: number): number {
  const children = readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
  )
  const own = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '0'
  return Number(own) * 1024 + children.reduce((sum, child) => sum + residentBytes(child), 0)
}
