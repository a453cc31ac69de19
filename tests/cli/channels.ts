// What the tests of the command line share: the generic Worker, with a secret of each kind.

import { startWorkers } from '../support/workerd.ts'
import type { RunningWorkers, StartOptions, WorkerDefinition } from '../support/workerd.ts'

export const SIGNING_KEY = 'the signing key of these tests'
export const PUBLISH_KEY = 'the publish key of these tests'
export const READ_KEY = 'the read key of these tests'

/** The Durable Objects of the generic Worker. */
export const CLASS = { worker: 'channels', className: 'DurableEventIteratorObject' }

/** Starts the generic Worker. */
export function startChannels(worker: Partial<WorkerDefinition> = {}, options: Partial<StartOptions> = {}): Promise<RunningWorkers> {
  const variables = { SIGNING_KEY, PUBLISH_KEY, READ_KEY }
  const durableObjects = { CHANNEL: { className: CLASS.className } }
  return startWorkers({ ...options, workers: [{ name: CLASS.worker, crate: '.', variables, durableObjects, ...worker } as WorkerDefinition] })
}

let channels = 0

/** Returns the name of a new channel, which must be encoded in a URL. */
export const newChannel = (): string => `room ${++channels}/ä`

/** Publishes an event as another server would. Returns its id. */
export async function publish(workers: RunningWorkers, channel: string, event: object): Promise<string> {
  const path = `/channels/${encodeURIComponent(channel)}/events`
  const response = await workers.fetch(path, { method: 'POST', headers: { authorization: `Bearer ${PUBLISH_KEY}` }, body: JSON.stringify(event) })
  if (!response.ok) throw new Error(await response.text())
  return ((await response.json()) as { id: string }).id
}
