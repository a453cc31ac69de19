// The built generic Worker: `src/lib.rs` of the repository.

import { DurableObject, WorkerEntrypoint } from 'cloudflare:workers'
import type { Published, PublishOptions } from 'durable-event-iterator/stub'

/** The binding, the secrets and the variables of the generic Worker. `docs/generic-worker.md` of the repository describes them. */
export interface GenericWorkerEnv {
  /** The namespace of {@link DurableEventIteratorObject}. */
  CHANNEL: DurableObjectNamespace<DurableEventIteratorObject>
  /** The secret with which the server signs tokens. */
  SIGNING_KEY: string
  /** Previous signing keys during a key rotation, one per line. */
  PREVIOUS_SIGNING_KEY?: string
  /** The secret for publishing over HTTP. */
  PUBLISH_KEY?: string
  EVENT_RETENTION_SECONDS?: string
  MAX_RETAINED_EVENTS?: string
  MAX_RETAINED_BYTES?: string
  IDEMPOTENCY_WINDOW_SECONDS?: string
  MAX_FRAME_BYTES?: string
  MAX_SOCKETS?: string
  MAX_SOCKETS_PER_CONNECTION?: string
  MAX_SOCKETS_PER_SUBJECT?: string
  START_DURABLE_ITERATORS_LIVE?: string
}

/** A channel of any JSON events. */
export class DurableEventIteratorObject extends DurableObject<GenericWorkerEnv> {
  /** Publishes an event: an object or an array. Resolves when it is stored. */
  publish(event: object, options?: PublishOptions): Promise<Published>
}

/** Opens WebSockets at `/`, and publishes the events of `POST /channels/<channel>/events` and `POST /events?channel=<channel>`. */
export default class GenericWorker extends WorkerEntrypoint<GenericWorkerEnv> {
  override fetch(request: Request): Promise<Response>
}
