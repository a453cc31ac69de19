/** A member of a channel with presence. */
export interface PresenceMember<State = unknown> {
  readonly id: string
  /** The state that the member has set. Absent before the first one. */
  readonly state?: State
}

/**
 * A presence event, which arrives between the events of a channel with presence. It has no id, is not stored and never replayed.
 *
 * @typeParam State - The state that members set.
 */
export interface PresenceEvent<State = unknown> {
  readonly type: 'presence'
  /** The id of the member that receives the event. Present in the last event of the list after each subscription. */
  readonly self?: string
  /** All members: the list begins again. The further parts of a long list are `joined`. */
  readonly members?: readonly PresenceMember<State>[]
  /** The members who have joined. One that is known replaces the known one. */
  readonly joined?: readonly PresenceMember<State>[]
  /** The members whose state has changed. One that is not known is added. */
  readonly changed?: readonly PresenceMember<State>[]
  /** The ids of the members who have left. */
  readonly left?: readonly string[]
}

/** Returns whether an event of a channel is a {@link PresenceEvent}: whether its `type` is `presence`. */
export function isPresenceEvent<State = unknown>(event: unknown): event is PresenceEvent<State> {
  return typeof event === 'object' && event !== null && (event as { type?: unknown }).type === 'presence'
}

/**
 * The members of a channel, from its presence events.
 *
 * @example
 * ```ts
 * const members = new PresenceMembers<{ typing: boolean }>()
 * for await (const event of subscribe<Message | PresenceEvent<{ typing: boolean }>>({ url, token })) {
 *   if (isPresenceEvent<{ typing: boolean }>(event)) {
 *     if (members.apply(event)) show([...members.values()])
 *     continue
 *   }
 *   append(event)
 * }
 * ```
 */
export class PresenceMembers<State = unknown> implements Iterable<PresenceMember<State>> {
  #members = new Map<string, PresenceMember<State>>()
  #self: string | undefined

  /** The id of the member of this client, known after the first list. */
  get self(): string | undefined {
    return this.#self
  }

  get size(): number {
    return this.#members.size
  }

  /**
   * Applies an event. Returns whether the members or the id of this client's member may have changed: false for an event that is not
   * a presence event, or that contains no change.
   */
  apply(event: unknown): boolean {
    if (!isPresenceEvent<State>(event)) return false
    const { self, members, joined = [], changed = [], left = [] } = event
    let hasChanged = false
    if (members !== undefined) {
      this.#members = new Map(members.map((member) => [member.id, member]))
      hasChanged = true
    }
    for (const member of [...joined, ...changed]) {
      this.#members.set(member.id, member)
      hasChanged = true
    }
    for (const id of left) hasChanged = this.#members.delete(id) || hasChanged
    if (self !== undefined && self !== this.#self) {
      this.#self = self
      hasChanged = true
    }
    return hasChanged
  }

  has(id: string): boolean {
    return this.#members.has(id)
  }

  get(id: string): PresenceMember<State> | undefined {
    return this.#members.get(id)
  }

  /** Returns the members in the order in which they have joined, as far as this client knows it. */
  values(): IterableIterator<PresenceMember<State>> {
    return this.#members.values()
  }

  [Symbol.iterator](): IterableIterator<PresenceMember<State>> {
    return this.values()
  }
}
