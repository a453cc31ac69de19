// The members of a channel as an application has them.

import { isPresenceEvent, PresenceMembers } from '../../npm/durable-event-iterator/src/client/index.ts'
import type { PresenceEvent, PresenceMember } from '../../npm/durable-event-iterator/src/client/index.ts'

/** The reducer of the npm package. */
export class Members {
  readonly #members = new PresenceMembers()

  /** Returns whether the event is a presence event. */
  apply(event: unknown): event is PresenceEvent {
    this.#members.apply(event)
    return isPresenceEvent(event)
  }

  get all(): PresenceMember[] {
    return [...this.#members]
  }

  get ids(): string[] {
    return this.all.map(({ id }) => id)
  }

  get size(): number {
    return this.#members.size
  }

  has(id: string): boolean {
    return this.#members.has(id)
  }
}
