// Very many sockets on one object: how long a publish takes to reach all of them, awake and asleep, and what they cost.

import { readFileSync, readdirSync } from 'node:fs'

import { startJournals } from '../support/journals.ts'
import { BareSocket } from '../support/socket.ts'
import { CROWD, Crowd } from './crowd.ts'

export interface Scale {
  sockets: number
  /** Of these, opened by another object of the same runtime, since there are not file descriptors for more connections. */
  inside: number
  /** Of the process of the runtime, in bytes for each socket: what it grew by. */
  bytesPerSocket: number
  /** How long all took to connect and subscribe, one after the other in batches, in milliseconds. */
  connectMs: number
  /** From the publish until everybody had the event, in milliseconds: the object awake, and one that was hibernating. */
  awakeMs: number
  wakingMs: number
  /** How long `publish` itself took to answer, in milliseconds. */
  awakePublishMs: number
  wakingPublishMs: number
}

/** How many sockets are opened at once: a listening socket's queue is not endless. */
const BATCH = 50

/** File descriptors of the runtime's that are no connections, and for each connection. */
const OTHER_FILES = 400
const FILES_PER_CONNECTION = 2

/**
 * Opens so many sockets on one object and publishes to them all, twice: before and after hibernation. With
 * `perMessageDeflate` each has a window of its own for compression, at both ends, which is most of its memory; at Cloudflare
 * that is not the isolate's. What comes `inside` is by default what file descriptors do not suffice for.
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
    // What a first object and a first socket cost does not grow with their number.
    await journals.stub('USUAL', chn, 'publish', { n: 0 })
    const before = residentBytes(journals.pid)
    const startedAt = performance.now()
    const open: BareSocket[] = []
    while (open.length < sockets - inside) {
      const count = Math.min(BATCH, sockets - inside - open.length)
      const batch = await Promise.all(Array.from({ length: count }, () => BareSocket.open(url, { perMessageDeflate })))
      for (const socket of batch) socket.send({ i: 's', p: { u: '/subscribe', b: {}, h: { 'last-event-id': '0' } } })
      // The answer, and the event from before.
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

/** How many connections the runtime may have: its limit is this process's. */
function connectionLimit(): number {
  const limit = /Max open files\s+\d+\s+(\d+)/.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]
  return limit === undefined ? Infinity : Math.floor((Number(limit) - OTHER_FILES) / FILES_PER_CONNECTION)
}

/** Of a process and its children, in bytes; Linux only. */
function residentBytes(pid: number): number {
  const children = readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
  )
  const own = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '0'
  return Number(own) * 1024 + children.reduce((sum, child) => sum + residentBytes(child), 0)
}
