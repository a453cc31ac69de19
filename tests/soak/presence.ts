// Checks the members of a channel as its clients saw them, against the sockets that were certainly open.
//
// The id of an event is the time at which it was stored. A client that receives it live has proven that its subscription was open at that
// time, whatever its line did since. So the times at which a member certainly had a live subscription are known exactly; for all
// other times, the member may have had one or not. A presence event was sent after the event that its client received before it, and
// before it arrived. A violation is reported only if there is one for every time between the two.

import { createHash } from 'node:crypto'

import type { Channel, ClientRecord, PresenceEvent, PresenceMember, StateCall } from './history.ts'
import { MICROS_PER_MILLI } from './violation.ts'
import type { Report } from './violation.ts'

/** The precision of the clocks, in milliseconds. */
const PRECISION = 10

/** A time range in milliseconds. */
interface Range {
  from: number
  to: number
}

export function checkPresence(channel: Channel, clients: ClientRecord[], states: StateCall[], report: Report): void {
  if (channel.presence === undefined) return
  const open = provenRanges(clients)
  const connections = new Set(clients.flatMap(({ connection }) => connection ?? []))
  for (const client of clients) {
    const about = { channel: channel.name, client: client.name }
    for (const delivery of client.presence ?? []) {
      const { event, attempt, at } = delivery
      const sent: Range = { from: Math.max(delivery.after / MICROS_PER_MILLI, client.attempts[attempt]?.sentAt ?? 0), to: at }
      const violation = { ...about, ...(client.isUnobserved ? {} : { attempt }), id: at * MICROS_PER_MILLI }
      const invalid = problemOf(event, connections) ?? problemOfStates(event, states, at)
      if (invalid !== undefined) report({ ...violation, kind: 'members invalid', text: `${invalid}: ${JSON.stringify(event)}` })
      for (const id of event.left ?? []) {
        if (mayHaveLeft(open.get(id) ?? [], sent, channel.presence.grace)) continue
        report({ ...violation, kind: 'left early', text: `${id} left, but had a subscription within the grace period` })
      }
      if (event.members === undefined) continue
      const listed = new Set(event.members.map(({ id }) => id))
      for (const [id, ranges] of open) {
        if (listed.has(id) || !ranges.some(({ from, to }) => from <= sent.from && sent.to <= to)) continue
        report({ ...violation, kind: 'member missed', text: `${id} had a subscription, and is not in a list of members` })
      }
    }
    checkNewcomer(channel, client, report)
  }
  checkEnd(channel, clients, states, report)
}

/** Returns the time ranges in which members certainly had a live subscription, by member id, sorted. */
function provenRanges(clients: ClientRecord[]): Map<string, Range[]> {
  const ranges = new Map<string, Range[]>()
  for (const { attempts, presence = [] } of clients) {
    for (const [index, { frames }] of attempts.entries()) {
      // A Worker that streams events may have subscribed again by itself, which only the list shows.
      const list = presence.findLast(({ attempt, event }) => attempt === index && event.self !== undefined)
      if (list === undefined) continue
      const to = frames.reduce((last, { id }) => Math.max(last, id), 0) / MICROS_PER_MILLI
      if (to <= list.at) continue
      const id = list.event.self as string
      ranges.set(id, [...(ranges.get(id) ?? []), { from: list.at, to }])
    }
  }
  for (const each of ranges.values()) each.sort((a, b) => a.from - b.from)
  return ranges
}

/** Whether there is a time in `sent` before which a member may have had no subscription for the grace period. */
function mayHaveLeft(open: Range[], sent: Range, grace: number): boolean {
  let before = Number.NEGATIVE_INFINITY
  for (const { from, to } of [...open, { from: Number.POSITIVE_INFINITY, to: Number.POSITIVE_INFINITY }]) {
    if (Math.max(sent.from, before + grace - PRECISION) <= Math.min(sent.to, from)) return true
    before = Math.max(before, to)
  }
  return false
}

/** Returns what is wrong with an event by itself. */
function problemOf({ members = [], joined = [], changed = [], left = [], self }: PresenceEvent, connections: Set<string>): string | undefined {
  const upserts = [...members, ...joined, ...changed].map(({ id }) => id)
  if (upserts.some((id) => connections.has(id)) || left.some((id) => connections.has(id))) return 'it contains a connection id'
  if (new Set(upserts).size !== upserts.length || new Set(left).size !== left.length) return 'it contains a member twice'
  if (left.some((id) => upserts.includes(id))) return 'a member is there and has left'
  return self === undefined || upserts.includes(self) ? undefined : 'it does not contain the client itself'
}

/** Returns which state of an event its member had not set. */
function problemOfStates({ members = [], joined = [], changed = [] }: PresenceEvent, states: StateCall[], at: number): string | undefined {
  const foreign = [...members, ...joined, ...changed].find(
    ({ id, state }) =>
      state !== undefined &&
      !states.some(({ member, state: set, sentAt, outcome }) => set === state && (member ?? id) === id && sentAt <= at + PRECISION && outcome !== 'rejected'),
  )
  return foreign && `${foreign.id} has not set the state ${JSON.stringify(foreign.state)}`
}

/** The first presence event of a subscription is the list of members, before the first event that was published later. */
function checkNewcomer({ name, presence }: Channel, { name: client, connection, subject, attempts, presence: received }: ClientRecord, report: Report): void {
  if (received === undefined) return
  for (const [index, { answeredAt, frames }] of attempts.entries()) {
    if (answeredAt === undefined) continue
    const first = received.find(({ attempt }) => attempt === index)
    const about = { channel: name, client, attempt: index, id: (first?.at ?? answeredAt) * MICROS_PER_MILLI }
    // Stored after the client had the response, and a replay of one step was sent with it.
    const later = frames.find(({ id }) => id > (answeredAt + PRECISION) * MICROS_PER_MILLI)
    if (later !== undefined && presence?.hasLongReplays !== true && !(first !== undefined && first.after < later.id)) {
      report({ ...about, kind: 'members late', text: `event ${later.n} arrived before the list of members` })
    }
    if (first === undefined) continue
    const expected = memberOf(presence?.key, connection, subject)
    if (first.event.members === undefined || first.event.self === undefined) {
      report({ ...about, kind: 'members invalid', text: `the first presence event is ${JSON.stringify(first.event)}` })
    } else if (expected !== undefined && first.event.self !== expected) {
      report({ ...about, kind: 'members invalid', text: `it is the member ${first.event.self}, not ${expected}` })
    }
  }
}

/** Returns the member id of a client; undefined if it is random. */
export function memberOf(key: 'connection' | 'subject' | undefined, connection: string | undefined, subject: string | undefined): string | undefined {
  if (key === 'subject' && subject !== undefined) return subject
  return connection === undefined ? undefined : createHash('sha256').update(connection).digest('base64url').slice(0, 22)
}

/**
 * At the end, all clients and the Durable Object have the same members, with the same states: those with a live subscription. A client that
 * waits for pages is a member too, and receives no presence events.
 */
function checkEnd({ name: channel, presence, last = 0 }: Channel, clients: ClientRecord[], states: StateCall[], report: Report): void {
  const there = clients.filter(({ isPresent }) => isPresent)
  const selfOf = ({ presence: received, connection, subject }: ClientRecord): string | undefined =>
    received === undefined
      ? memberOf(presence?.key, connection, subject)
      : received.findLast(({ event }) => event.self !== undefined)?.event.self
  for (const client of there) {
    if (selfOf(client) !== undefined) continue
    report({ kind: 'members late', channel, client: client.name, id: last, text: 'it never received a list of members' })
  }
  const members = new Set(there.flatMap((client) => selfOf(client) ?? []))
  const stateOf = new Map((presence?.members ?? []).map(({ id, state }) => [id, state]))
  for (const member of members) {
    const set = lastState(member, there, states)
    if (set !== undefined) stateOf.set(member, set)
  }
  const compare = (seen: readonly PresenceMember[] | undefined, client?: string): void => {
    if (seen === undefined) return
    const about = { channel, id: last, ...(client === undefined ? {} : { client }) }
    for (const { id, state } of seen) {
      if (!members.has(id)) {
        report({ ...about, kind: 'ghost', text: `${id} is in the list of members at the end, and has no subscription` })
      } else if (stateOf.has(id) && state !== stateOf.get(id)) {
        const text = `${id} has the state ${JSON.stringify(state)} at the end, not ${JSON.stringify(stateOf.get(id))}`
        report({ ...about, kind: 'state wrong', text })
      }
    }
    for (const id of members) {
      if (seen.some((member) => member.id === id)) continue
      report({ ...about, kind: 'member missed', text: `${id} has a subscription, and is not in the list of members at the end` })
    }
  }
  compare(presence?.members)
  for (const { name, members } of there) compare(members, name)
}

/** Returns the state that a member certainly has: the last one that it has set, on a subscription that is still open. */
function lastState(member: string, there: ClientRecord[], all: StateCall[]): string | undefined {
  const calls = all.filter((call) => call.member === member && call.outcome !== 'rejected')
  const last = calls.reduce<StateCall | undefined>((latest, call) => (latest === undefined || call.sentAt > latest.sentAt ? call : latest), undefined)
  if (last === undefined || last.outcome !== 'set' || calls.some((call) => call !== last && call.endedAt >= last.sentAt)) return undefined
  const client = there.find(({ name }) => name === last.client)
  return client?.attempts.length === last.attempt + 1 ? last.state : undefined
}
