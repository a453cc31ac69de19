import { inspect } from 'node:util'

import type { SubscriptionGap } from '../../client/hooks.js'
import { Serializer } from '../../client/wire/serializer.js'
import { stderr, stdout } from '../output.js'
import { plain, time, timeOfId } from '../text.js'
import type { Listener, SerializedEvent } from './item.js'

export interface ReportOptions {
  /** Whether each event is one line of JSON. */
  readonly json: boolean
  /** Whether states of the connection are omitted. */
  readonly quiet: boolean
  /** Called after each event that is not a presence event. */
  onPublished(): void
}

/** Writes events to the standard output, and gaps and states to the standard error output. */
export class Report implements Listener {
  readonly #options: ReportOptions
  readonly #serializer = new Serializer()

  constructor(options: ReportOptions) {
    this.#options = options
  }

  onEvent = async (event: SerializedEvent): Promise<void> => {
    const { json, onPublished } = this.#options
    const isPresence = event.id === undefined && isPresenceEvent(event.json)
    await stdout.line(json ? JSON.stringify(event) : isPresence ? this.#presenceLine(event.json as PresenceEvent) : this.#line(event))
    if (!isPresence) onPublished()
  }

  onGap = ({ lastEventId, nextEventId }: SubscriptionGap): void => {
    const after = lastEventId === undefined ? '' : ` after ${lastEventId}`
    void stderr.line(stderr.style('yellow', `gap: events${after} are no longer retained; all events from ${nextEventId} on are`))
  }

  onState = (state: string): void => {
    if (!this.#options.quiet) void stderr.line(stderr.style('dim', state))
  }

  #line(event: SerializedEvent): string {
    const { id, retry, comments = [] } = event
    const at = time((id === undefined ? undefined : timeOfId(id)) ?? new Date())
    const meta = [retry === undefined ? '' : `retry ${retry} ms`, ...comments].filter((text) => text !== '')
    const parts = [
      stdout.style('dim', at),
      stdout.style('cyan', id ?? 'not stored'),
      this.#valueOf(event),
      ...(meta.length === 0 ? [] : [stdout.style('dim', `(${meta.join('; ')})`)]),
    ]
    return parts.join('  ')
  }

  #valueOf({ json, meta }: SerializedEvent): string {
    try {
      return inspected(this.#serializer.deserialize({ json: structuredClone(json), meta }))
    } catch {
      // A custom type, or another form: the JSON is still useful.
      return plain(JSON.stringify({ json, meta }))
    }
  }

  #presenceLine({ members, joined = [], changed = [], left = [] }: PresenceEvent): string {
    const shown = (mark: string) => (member: PresenceMember) =>
      `${mark}${plain(member.id)}${member.state === undefined ? '' : ` ${inspected(member.state)}`}`
    const parts = [
      ...(members === undefined ? [] : [`${members.length} present`, ...members.map(shown(''))]),
      ...joined.map(shown('+ ')),
      ...changed.map(shown('~ ')),
      ...left.map((id) => `- ${plain(id)}`),
    ]
    return [stdout.style('dim', time(new Date())), stdout.style('green', 'presence'), parts.join(', ')].join('  ')
  }
}

interface PresenceMember {
  readonly id: string
  readonly state?: unknown
}

interface PresenceEvent {
  readonly members?: readonly PresenceMember[]
  readonly joined?: readonly PresenceMember[]
  readonly changed?: readonly PresenceMember[]
  readonly left?: readonly string[]
}

function isPresenceEvent(value: unknown): value is PresenceEvent {
  if (typeof value !== 'object' || value === null) return false
  const { type, members, joined, changed, left } = value as Record<string, unknown>
  const isMembers = (list: unknown): boolean =>
    list === undefined || (Array.isArray(list) && list.every((member) => typeof member?.id === 'string'))
  const isIds = left === undefined || (Array.isArray(left) && left.every((id) => typeof id === 'string'))
  return type === 'presence' && [members, joined, changed].every(isMembers) && isIds
}

/** Returns a value on one line. Control characters in strings are escaped. */
function inspected(value: unknown): string {
  return inspect(value, {
    colors: stdout.hasColors,
    depth: Number.POSITIVE_INFINITY,
    breakLength: Number.POSITIVE_INFINITY,
    compact: true,
    maxArrayLength: null,
    maxStringLength: null,
  })
}
