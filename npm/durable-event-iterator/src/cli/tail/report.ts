import type { SubscriptionGap } from '../../client/hooks.js'
import { isPresenceEvent } from '../../client/presence.js'
import type { PresenceEvent, PresenceMember } from '../../client/presence.js'
import { Serializer } from '../../client/wire/serializer.js'
import { inspected, PRINTED_REGEXP } from '../inspected.js'
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
  readonly #serializer = new Serializer([PRINTED_REGEXP])

  constructor(options: ReportOptions) {
    this.#options = options
  }

  onEvent = async (event: SerializedEvent): Promise<void> => {
    const { json, onPublished } = this.#options
    // An application's own event of this type has an id.
    const presence = event.id === undefined && isPresenceEvent(event.json) ? event.json : undefined
    const isReadable = presence !== undefined && isDescribable(presence)
    if (json) await stdout.json(event)
    else await stdout.line(isReadable ? this.#presenceLine(presence) : this.#line(event))
    if (presence === undefined) onPublished()
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

/** Whether an event has the shape of a presence event, so that it can be described. */
function isDescribable(event: PresenceEvent): boolean {
  const isMembers = (members: unknown): boolean =>
    members === undefined || (Array.isArray(members) && members.every((member) => typeof member?.id === 'string'))
  const isIds = (ids: unknown): boolean => ids === undefined || (Array.isArray(ids) && ids.every((id) => typeof id === 'string'))
  return [event.members, event.joined, event.changed].every(isMembers) && isIds(event.left)
}
