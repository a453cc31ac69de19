// Checks a history against the guarantees. The verdict depends only on the history.
//
// The order of a channel is that of its ids, and an id is the time of storing, in microseconds, by the same clock as the
// times of the clients (on the same machine). The events that the log had deleted at the response to a subscription
// are therefore known exactly, except for three things that are not visible from outside, and are not checked:
//
// 1. The time between `/subscribe` and its response at which the log was read. Events deleted before the request must be
//    reported as a gap, and events not deleted at the response must not.
// 2. Whether a publish without a response, or with one that contains no id, is stored if no client has received its event.
//    It may count or not.
// 3. The number of retained events between three quarters of a bound and the bound, which is not guaranteed. But an event
//    that was reported as deleted must not arrive later.
//
// A wipe deletes all stored events at one moment between its call and its response. Events stored before the
// call are deleted after the response; those stored meanwhile may be deleted or not. The log detects a wipe only when it is
// next used, and storage no longer contains the time. Until the first event is stored afterwards, the log can therefore
// not tell a token that was issued after the wipe from one that was issued before: a gap may be reported to both. From
// then on, a token that was issued later receives none.
//
// The events of a batch have consecutive ids, and are stored together: a client receives all of them, except where its
// subscription starts or ends between them. After a revocation has returned, a subscription with a revoked token receives no event that was
// stored later, and none opens, unless a wipe deletes the revocation. For the members of a channel, see presence.ts.

import type { Attempt, Audience, Channel, ClientRecord, Delivery, History, Publish, Revocation, Wipe } from './history.ts'
import { checkPresence } from './presence.ts'
import { MICROS_PER_MILLI } from './violation.ts'
import type { Report, Violation, ViolationKind } from './violation.ts'

export interface Verdict {
  violations: Violation[]
  /** The number of responses with a gap. */
  gapsTold: number
}

const MICROS_PER_SECOND = 1_000_000

/**
 * The time before its token's issue at which a client without a cursor may start, in microseconds: the library's slack for
 * clock skew. Events of that time may arrive; from the first one on, none may be missing.
 */
const FIRST_CONNECT_SLACK = 2 * MICROS_PER_SECOND

/**
 * Ids increase by one if the clock has not moved, so an id is ahead of the clock by as many microseconds as events were
 * stored in its millisecond. No run stores a thousand in one millisecond.
 */
const ID_AHEAD = MICROS_PER_MILLI

/** The minimum interval between two attempts to connect, in milliseconds, see the option `minReconnectionDelay`. */
const ATTEMPT_INTERVAL = 1_000

/**
 * The number of attempts that may arrive at once, since a busy machine delays some of them.
 */
const ATTEMPT_BURST = 3

/** The maximum duration of a publish without a response, in microseconds, after which its publisher gives up. */
const REACH_OF_DOUBT = 15 * MICROS_PER_SECOND

export function check(history: History): Verdict {
  const verdict: Verdict = { violations: [], gapsTold: 0 }
  const found = new Set<string>()
  const report = (violation: Violation): void => {
    // An event that is lost in an attempt and for the application is one violation.
    const key = `${violation.kind} ${violation.client} ${violation.channel} ${violation.id}`
    if (!found.has(key)) verdict.violations.push(violation)
    found.add(key)
  }
  const publishes = new Map(history.publishes.map((publish) => [publish.n, publish]))
  for (const channel of history.channels) {
    const clients = history.clients.filter((client) => client.channel === channel.name)
    const log = new ChannelLog(channel, history, clients, report)
    log.checkOrderOfPublishing(report)
    log.checkBatches(report)
    const revocations = history.revocations.filter((revocation) => revocation.channel === channel.name)
    const wipes = history.wipes.filter((wipe) => wipe.channel === channel.name)
    const states = history.states.filter((call) => call.channel === channel.name)
    for (const client of clients) {
      checkContents(client, publishes, log, report)
      checkNotifications(client, report)
      checkAttempts(client, report)
      checkRevocations(client, revocations, wipes, report)
      checkBatchesOf(client, publishes, report)
      const gaps = client.attempts.flatMap((attempt, index) => {
        if (attempt.gap !== undefined) verdict.gapsTold++
        return checkAttempt(client, index, attempt, log, report)
      })
      if (client.isUnobserved) {
        verdict.gapsTold += client.notified?.length ?? 0
        gaps.push(...checkUnobserved(client, log, report))
      }
      checkApplication(client, gaps, log, report)
    }
    checkPresence(channel, clients, states, report)
  }
  return verdict
}

/** The events that are known to be in the log of a channel: acknowledged or received ones. */
class ChannelLog {
  readonly channel: Channel
  /** Ascending. */
  readonly ids: number[] = []
  readonly publishOf = new Map<number, Publish>()
  /** The publishes that may be stored or not. */
  readonly #doubtful: Publish[]
  readonly #claims: Claim[]
  /** Sorted by `sentAt`; `first` is the lowest id that this attempt or a later one replayed. */
  readonly #replays: { sentAt: number; first: number }[]
  readonly #wipes: LoggedWipe[]

  constructor(channel: Channel, { publishes, wipes }: History, clients: ClientRecord[], report: Report) {
    this.channel = channel
    const own = publishes.filter((publish) => publish.channel === channel.name)
    const byNumber = new Map(own.map((publish) => [publish.n, publish]))
    const idOf = new Map<number, number>()
    const store = (publish: Publish, id: number, client?: string): void => {
      const known = idOf.get(publish.n)
      if (known === id) return
      if (known !== undefined || this.publishOf.has(id)) {
        const text = `event ${publish.n} arrived with the id ${id}, which is ${known === undefined ? "another event's" : `not its own, ${known}`}`
        return report({ kind: 'invented', channel: channel.name, ...(client ? { client } : {}), id, text })
      }
      idOf.set(publish.n, id)
      this.publishOf.set(id, publish)
      this.ids.push(id)
    }
    for (const publish of own) {
      if (publish.outcome === 'stored' && publish.id !== undefined) store(publish, publish.id)
    }
    for (const client of clients) {
      for (const frames of client.isUnobserved ? [client.delivered] : client.attempts.map(({ frames }) => frames)) {
        for (const { id, n } of frames) {
          const publish = byNumber.get(n)
          if (publish !== undefined && publish.outcome !== 'rejected') store(publish, id, client.name)
        }
      }
    }
    this.ids.sort((a, b) => a - b)
    this.#doubtful = own.filter(({ n, outcome }) => outcome !== 'rejected' && !idOf.has(n))

    this.#wipes = wipes.filter((wipe) => wipe.channel === channel.name).map((wipe) => logged(wipe, own))

    const attempts = clients.flatMap((client) => client.attempts)
    this.#claims = attempts
      .filter((attempt) => attempt.gap !== undefined)
      .map(({ gap, answeredAt, sentAt }) => ({ answeredAt: answeredAt ?? sentAt, lost: (gap as number) - 1 }))
    this.#replays = attempts
      .filter(({ frames, sentAt }) => frames.length > 0 && (frames[0] as Delivery).id < sentAt * MICROS_PER_MILLI)
      .map(({ frames, sentAt }) => ({ sentAt, first: (frames[0] as Delivery).id }))
      .sort((a, b) => a.sentAt - b.sentAt)
    for (let n = this.#replays.length - 2; n >= 0; n--) {
      const replay = this.#replays[n] as { sentAt: number; first: number }
      replay.first = Math.min(replay.first, (this.#replays[n + 1] as { first: number }).first)
    }
  }

  /** The number of known events with ids up to this one. */
  upTo(id: number): number {
    let [low, high] = [0, this.ids.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.ids[middle] as number) <= id) low = middle + 1
      else high = middle
    }
    return low
  }

  /** The highest id that must be deleted at this time; 0 if there is none. */
  goneAtLeast(sentAt: number): number {
    const stored = this.upTo(sentAt * MICROS_PER_MILLI - 1)
    const overBound = stored - this.channel.bound
    const expired = this.upTo((sentAt - this.channel.retention) * MICROS_PER_MILLI)
    const wiped = this.#wipes.reduce(
      (most, wipe) => (wipe.outcome === 'wiped' && wipe.endedAt < sentAt ? Math.max(most, this.upTo(wipe.sentAt * MICROS_PER_MILLI - 1)) : most),
      0,
    )
    const claimed = this.#claims.reduce((most, { answeredAt, lost }) => (answeredAt < sentAt ? Math.max(most, lost) : most), 0)
    // A gap after a wipe may end anywhere before the next event, and does not concern clients with the last event before.
    return Math.max(this.#at(Math.max(overBound, expired, wiped)), this.#wipes.length === 0 ? claimed : this.#at(this.upTo(claimed)))
  }

  /** Whether all events up to this id may be deleted at this time, for a client with the cursor `after`. */
  mayHaveGone(lost: number, answeredAt: number, after: number): boolean {
    const later = this.#replays.find(({ sentAt }) => sentAt > answeredAt)
    if (later !== undefined && later.first <= lost) return false
    if (lost <= (answeredAt + 1) * MICROS_PER_MILLI + ID_AHEAD) {
      const newest = this.#at(this.upTo(lost))
      const mayBeWiped = ({ sentAt, through, knownFrom }: LoggedWipe): boolean =>
        sentAt <= answeredAt && newest <= through && after < knownFrom
      if (this.#wipes.some(mayBeWiped)) return true
    }
    const doubtful = this.#doubtful.filter(({ sentAt }) => sentAt <= answeredAt)
    const isOwn = ({ sentAt }: Publish): boolean =>
      sentAt * MICROS_PER_MILLI <= lost && lost <= sentAt * MICROS_PER_MILLI + REACH_OF_DOUBT
    if (!this.publishOf.has(lost) && !doubtful.some(isOwn)) return false
    if (lost <= (answeredAt + 1 - this.channel.retention) * MICROS_PER_MILLI) return true
    const now = (answeredAt + 1) * MICROS_PER_MILLI + ID_AHEAD
    const newer = this.upTo(now) - this.upTo(lost) + doubtful.length
    return newer >= this.channel.bound - Math.floor(this.channel.bound / 4)
  }

  #at(count: number): number {
    return count <= 0 ? 0 : (this.ids[Math.min(count, this.ids.length) - 1] as number)
  }

  /** Ids never decrease: a new id is higher than all that were known when its publish started. */
  checkOrderOfPublishing(report: Report): void {
    const stored = [...this.publishOf].map(([id, publish]) => ({ id, publish }))
    const known: Claim[] = stored
      .filter(({ publish }) => publish.answeredAt !== undefined && publish.outcome === 'stored')
      .map(({ id, publish }) => ({ answeredAt: publish.answeredAt as number, lost: id }))
      .concat(this.#claims)
      .sort((a, b) => a.answeredAt - b.answeredAt)
    const sent = stored.sort((a, b) => a.publish.sentAt - b.publish.sentAt)
    let [next, highest] = [0, 0]
    for (const { id, publish } of sent) {
      while (next < known.length && (known[next] as Claim).answeredAt < publish.sentAt) {
        highest = Math.max(highest, (known[next++] as Claim).lost)
      }
      if (id <= highest) {
        const text = `event ${publish.n} has the id ${id}, although ${highest} had been acknowledged when it was sent`
        report({ kind: 'reordered', channel: this.channel.name, id, text })
      }
    }
  }

  /** The events of a batch are consecutive, in the order of the batch. */
  checkBatches(report: Report): void {
    const batches = new Map<number, { id: number; publish: Publish }[]>()
    for (const id of this.ids) {
      const publish = this.publishOf.get(id) as Publish
      if (publish.batch === undefined) continue
      const { first } = publish.batch
      batches.set(first, [...(batches.get(first) ?? []), { id, publish }])
    }
    for (const events of batches.values()) {
      const [{ id: start, publish }, { id: end }] = [events[0]!, events.at(-1)!]
      const about = { channel: this.channel.name, id: start }
      if (events.some(({ publish: { batch } }, n) => n > 0 && batch!.index <= events[n - 1]!.publish.batch!.index)) {
        report({ ...about, kind: 'reordered', text: `the events of the batch of event ${publish.batch!.first} are not in its order` })
      } else if (this.upTo(end) - this.upTo(start - 1) !== events.length) {
        report({ ...about, kind: 'torn', text: `another event is between the events of the batch of event ${publish.batch!.first}` })
      }
    }
  }
}

/** The end of a reported gap, and its time. */
interface Claim {
  answeredAt: number
  lost: number
}

/** A wipe as far as the log can detect it. */
interface LoggedWipe extends Wipe {
  /** Events with a higher id cannot be deleted by it. */
  through: number
  /** Clients with a cursor from this id on came after it, as far as the log can detect. */
  knownFrom: number
}

function logged(wipe: Wipe, publishes: Publish[]): LoggedWipe {
  const through = (wipe.endedAt + 1) * MICROS_PER_MILLI + ID_AHEAD
  const next = publishes
    .filter(({ outcome, sentAt }) => outcome === 'stored' && sentAt >= wipe.endedAt)
    .reduce((first, { answeredAt = first }) => Math.min(first, answeredAt), Number.POSITIVE_INFINITY)
  return { ...wipe, through, knownFrom: Math.max(through, (next + 1) * MICROS_PER_MILLI) }
}

/** `maybe`: an exception that holds only while a socket is open. */
function isMeantFor(client: ClientRecord, { to, except = [], caller }: Audience): boolean | 'maybe' {
  const { connection } = client
  if (connection !== undefined && except.includes(connection)) return false
  if (to !== undefined && (connection === undefined || !to.includes(connection))) return false
  if (caller === client.name) return connection === undefined ? 'maybe' : false
  return true
}

/** Received events must have been published to this channel and this client. */
function checkContents(client: ClientRecord, publishes: Map<number, Publish>, log: ChannelLog, report: Report): void {
  const about = { channel: client.channel, client: client.name }
  const all = [
    ...client.attempts.flatMap((attempt, index) => attempt.frames.map((frame) => ({ ...frame, attempt: index, expires: attempt.expires }))),
    ...client.delivered.map((delivery) => ({ ...delivery, attempt: undefined, expires: Number.POSITIVE_INFINITY })),
  ]
  for (const { id, n, attempt, expires } of all) {
    const at = attempt === undefined ? about : { ...about, attempt }
    const publish = publishes.get(n)
    if (publish === undefined) {
      report({ ...at, kind: 'invented', id, text: `event ${n} was never published` })
    } else if (publish.channel !== client.channel) {
      report({ ...at, kind: 'leaked', id, text: `event ${n} is of the channel ${publish.channel}` })
    } else if (publish.outcome === 'rejected') {
      report({ ...at, kind: 'invented', id, text: `the publish of event ${n} was rejected` })
    } else if (isMeantFor(client, publish.audience) === false) {
      report({ ...at, kind: 'leaked', id, text: `event ${n} is for ${JSON.stringify(publish.audience)}` })
    } else if (log.publishOf.get(id) !== publish) {
      report({ ...at, kind: 'invented', id, text: `event ${n} does not have the id ${id}` })
    } else if (id >= expires * MICROS_PER_SECOND + ID_AHEAD) {
      report({ ...at, kind: 'leaked', id, text: `event ${n} was published after the token had expired` })
    }
  }
}

/** Events after one id and up to another that were no longer available. */
interface Gap {
  after: number
  to: number
}

/** The frames of a subscription are the events after its cursor. Only events in the gap of the response may be missing. */
function checkAttempt(client: ClientRecord, index: number, attempt: Attempt, log: ChannelLog, report: Report): Gap[] {
  const about = { channel: client.channel, client: client.name, attempt: index }
  const { from, sentAt, answeredAt, gap, frames, ended = false } = attempt
  if (answeredAt === undefined) {
    if (frames.length > 0) report({ ...about, kind: 'invented', id: (frames[0] as Delivery).id, text: 'events arrived before the response' })
    return []
  }
  // The server ended the subscription before any event: it was replaced, or its token expired.
  // The client subscribes again, and that response counts.
  if (ended && gap === undefined && frames.length === 0) return []
  const first = 'issuedAt' in from
  // "Since the token was issued" includes that microsecond.
  const after = first ? from.issuedAt * MICROS_PER_SECOND - 1 : from.lastEventId

  const atLeast = log.goneAtLeast(sentAt)
  // Deleted events are not lost, reported or not: they were not retained.
  const gone = gap === undefined ? atLeast : gap - 1
  if (gap === undefined) {
    if (atLeast > after) {
      report({ ...about, kind: 'gap missed', id: atLeast, text: `${atLeast} was deleted, and no gap was reported to a client with the cursor ${after}` })
    }
  } else {
    const lost = gap - 1
    if (lost <= after || lost < atLeast || !log.mayHaveGone(lost, answeredAt, after)) {
      const text = `a gap up to ${lost} was reported to a client with the cursor ${after}; events up to ${atLeast} were deleted`
      report({ ...about, kind: 'gap false', id: lost, text })
    }
  }

  checkOrder(frames, (kind, id, text) => report({ ...about, kind, id, text }))
  const asked = gap === undefined ? after : Math.max(after, gap - 1)
  const earliest = first && gone <= after ? asked - FIRST_CONNECT_SLACK : asked
  for (const { id } of frames) {
    if (id <= earliest) {
      const text = `${id} arrived at a client that asked for events after ${asked}`
      report({ ...about, kind: first ? 'invented' : 'duplicated', id, text })
    }
  }
  const last = frames.reduce((highest, { id }) => Math.max(highest, id), 0)
  const came = new Set(frames.map(({ id }) => id))
  const before = (frames[0]?.id ?? Number.POSITIVE_INFINITY) - 1
  // A live start is somewhere between the request and the first event.
  const begin = first && from.isLive ? before : gone > after ? gone : Math.min(asked, before)
  reportMissing(client, log, begin, last, came, (id, text) => report({ ...about, kind: 'lost', id, text }))
  return gone > after ? [{ after, to: gone }] : []
}

/** The application receives all events once and in order, except for gaps. */
function checkApplication(client: ClientRecord, gaps: Gap[], log: ChannelLog, report: Report): void {
  const about = { channel: client.channel, client: client.name }
  const { delivered, stayed } = client
  checkOrder(delivered, (kind, id, text) => report({ ...about, kind, id, text: `to the application: ${text}` }))
  const first = delivered[0]?.id
  const came = new Set(delivered.map(({ id }) => id))
  const end = stayed ? log.channel.last : undefined
  if (end !== undefined && !came.has(end)) {
    report({ ...about, kind: 'lost', id: end, text: `the last event ${end} never arrived` })
  }
  if (first === undefined) return
  const last = delivered.reduce((highest, { id }) => Math.max(highest, id), 0)
  reportMissing(client, log, first, Math.max(last, end ?? 0), came, (id, text) => {
    if (!gaps.some(({ after, to }) => after < id && id <= to)) {
      report({ ...about, kind: 'lost', id, text: `to the application: ${text}` })
    }
  })
}

/** The gaps of which an application was notified whose requests are not recorded: between the right events, and not false. */
function checkUnobserved({ name, channel, notified = [], delivered }: ClientRecord, log: ChannelLog, report: Report): Gap[] {
  return notified.map(({ after, next, at = Number.POSITIVE_INFINITY }) => {
    const previous = delivered[after - 1]?.id ?? 0
    const lost = next - 1
    const isMisplaced = lost <= previous || delivered.some(({ id }, index) => id < next !== index < after)
    if (isMisplaced || !log.mayHaveGone(lost, at, previous)) {
      const text = `the application was notified of a gap up to ${lost} after the event ${previous}`
      report({ kind: 'gap false', channel, client: name, id: lost, text })
    }
    return { after: previous, to: lost }
  })
}

/** The application is notified of each gap in a response, between the right events. */
function checkNotifications(client: ClientRecord, report: Report): void {
  const { notified, attempts, delivered, stayed, isUnobserved = false } = client
  if (notified === undefined || isUnobserved) return
  const about = { channel: client.channel, client: client.name }
  const told = attempts.flatMap((attempt, index) => (attempt.gap === undefined ? [] : [{ gap: attempt.gap, attempt: index }]))
  for (let n = 0; n < Math.max(told.length, notified.length); n++) {
    const [expected, notification] = [told[n], notified[n]]
    if (notification === undefined && expected !== undefined) {
      // A client that has left may have left before the notification.
      if (!stayed) return
      const { gap, attempt } = expected
      return report({ ...about, kind: 'gap missed', attempt, id: gap - 1, text: `the application was not notified of the gap before ${gap}` })
    }
    const { next, after } = notification as NonNullable<typeof notification>
    if (expected?.gap !== next) {
      return report({ ...about, kind: 'gap false', id: next - 1, text: `the application was notified of a gap before ${next}, and the response said ${expected?.gap ?? 'none'}` })
    }
    const misplaced = delivered.find(({ id }, index) => id < next !== index < after)
    if (misplaced !== undefined) {
      report({ ...about, kind: 'gap false', attempt: expected.attempt, id: misplaced.id, text: `the application was notified of the gap before ${next} on the wrong side of ${misplaced.id}` })
    }
  }
}

/** A client with limited attempts respects the limit, and its iterators do not end. */
function checkAttempts(client: ClientRecord, report: Report): void {
  const { handshakes = [], ended = [] } = client
  const about = { channel: client.channel, client: client.name }
  for (const text of ended) {
    report({ ...about, kind: 'iteration ended', id: client.delivered.at(-1)?.id ?? 0, text: `its iterator ended: ${text}` })
  }
  // Counts attempts beyond one per interval, as a leaky bucket.
  let [level, before] = [0, Number.NEGATIVE_INFINITY]
  for (const at of handshakes) {
    level = Math.max(0, level - (at - before) / ATTEMPT_INTERVAL) + 1
    before = at
    if (level <= ATTEMPT_BURST) continue
    const text = `it connected ${handshakes.filter((other) => other <= at && other > at - 10 * ATTEMPT_INTERVAL).length} times within ${10 * ATTEMPT_INTERVAL} ms`
    return report({ ...about, kind: 'too many attempts', id: at * MICROS_PER_MILLI, text })
  }
}

/** A client receives a batch completely, except for where its subscription starts and ends. */
function checkBatchesOf(client: ClientRecord, publishes: Map<number, Publish>, report: Report): void {
  const about = { channel: client.channel, client: client.name }
  const gaps = (client.notified ?? []).map(({ after }) => after)
  const parts = client.isUnobserved
    ? [0, ...gaps].map((from, n) => ({ frames: client.delivered.slice(from, gaps[n]) }))
    : client.attempts.map(({ frames }, attempt) => ({ frames, attempt }))
  for (const { frames, ...attempt } of parts) {
    for (const [n, { id, n: number }] of frames.entries()) {
      const batch = publishes.get(number)?.batch
      if (batch === undefined) continue
      const next = (by: 1 | -1): boolean => {
        const other = publishes.get(frames[n + by]?.n ?? 0)?.batch
        return other?.first === batch.first && other.index === batch.index + by
      }
      const isTorn = (n > 0 && batch.index > 0 && !next(-1)) || (n < frames.length - 1 && batch.index < batch.length - 1 && !next(1))
      if (isTorn) {
        report({ ...about, ...attempt, kind: 'torn', id, text: `event ${number} arrived without the event before or after it in its batch` })
        break
      }
    }
  }
}

/** A subscription with a revoked token receives nothing that was stored after the revocation, and no such subscription opens. */
function checkRevocations(client: ClientRecord, revocations: Revocation[], wipes: Wipe[], report: Report): void {
  const about = { channel: client.channel, client: client.name }
  for (const { sentAt, endedAt, outcome, connection, subject, issuedBefore } of revocations) {
    if (outcome !== 'revoked') continue
    const concerns =
      (connection !== undefined && connection === client.connection) || (subject !== undefined && subject === client.subject) || issuedBefore !== undefined
    if (!concerns) continue
    // Wipes delete revocations. Until then, and on the sockets that the revocation has closed, there are no events.
    const wiped = Math.min(...wipes.filter((wipe) => wipe.endedAt >= sentAt).map((wipe) => wipe.sentAt))
    for (const [index, { issued, sentAt: askedAt, answeredAt, frames }] of client.attempts.entries()) {
      if (answeredAt === undefined || issued === undefined || issued * 1_000 >= (issuedBefore ?? sentAt + 1)) continue
      if (askedAt >= sentAt && answeredAt >= wiped) continue
      const late = frames.find(({ id }) => id > (endedAt + 1) * MICROS_PER_MILLI + ID_AHEAD)
      const revoked = `by a revocation that had returned at ${time(endedAt)}`
      if (late !== undefined) {
        report({ ...about, kind: 'leaked', attempt: index, id: late.id, text: `event ${late.n} arrived with a token that was revoked ${revoked}` })
      } else if (askedAt > endedAt) {
        report({ ...about, kind: 'leaked', attempt: index, id: answeredAt * MICROS_PER_MILLI, text: `it subscribed with a token that was revoked ${revoked}` })
      }
    }
  }
}

function checkOrder(deliveries: Delivery[], report: (kind: ViolationKind, id: number, text: string) => void): void {
  const seen = new Set<number>()
  let highest = 0
  for (const { id } of deliveries) {
    if (seen.has(id)) report('duplicated', id, `${id} arrived twice`)
    else if (id < highest) report('reordered', id, `${id} arrived after ${highest}`)
    seen.add(id)
    highest = Math.max(highest, id)
  }
}

function reportMissing(
  client: ClientRecord,
  log: ChannelLog,
  after: number,
  last: number,
  came: Set<number>,
  report: (id: number, text: string) => void,
): void {
  for (let n = log.upTo(after); n < log.ids.length && (log.ids[n] as number) <= last; n++) {
    const id = log.ids[n] as number
    const publish = log.publishOf.get(id) as Publish
    if (!came.has(id) && isMeantFor(client, publish.audience) === true) {
      report(id, `event ${publish.n}, ${publish.outcome === 'stored' ? 'acknowledged' : 'seen by others'}, never arrived, but ${last} did`)
    }
  }
}

/** The maximum number of lines of an excerpt, which fit on a screen. */
const EXCERPT_LINES = 40

/** The part of the history that shows a violation. */
export function excerpt(history: History, violation: Violation): string[] {
  const { kind, id, client: name, channel, attempt: index } = violation
  const client = history.clients.find((candidate) => candidate.name === name)
  const who = client === undefined ? '' : ` ${client.name} (${client.kind}${client.connection ? `, id ${client.connection}` : ''})`
  const lines = [`${kind}: channel ${channel},${who} ${violation.text}`]
  const log = new ChannelLog(
    history.channels.find((candidate) => candidate.name === channel) as Channel,
    history,
    history.clients.filter((candidate) => candidate.channel === channel),
    () => {},
  )
  const place = log.upTo(id - 1)
  for (const near of log.ids.slice(Math.max(0, place - 2), place + 3)) {
    const publish = log.publishOf.get(near) as Publish
    const mark = near === id ? '>' : ' '
    lines.push(`${mark} publish ${publish.n} by ${publish.by}: ${publish.outcome} as ${near}, ${time(publish.sentAt)} to ${time(publish.answeredAt)}, for ${JSON.stringify(publish.audience)}`)
  }
  if (client === undefined) return lines
  const numbered = client.attempts.map((attempt, n) => ({ attempt, n }))
  // The attempt of the violation, or those at the time of the event.
  const middle = index ?? numbered.findLastIndex(({ attempt }) => attempt.sentAt * MICROS_PER_MILLI <= id)
  const shown = numbered.filter(({ attempt, n }) => Math.abs(n - middle) <= (index === undefined ? 3 : 1) && attempt.answeredAt !== undefined)
  for (const { attempt, n } of shown) {
    const { from, sentAt, answeredAt, gap, frames, expires } = attempt
    lines.push(`${n === index ? '>' : ' '} subscribe ${n} ${JSON.stringify(from)} at ${time(sentAt)}, answered ${time(answeredAt)}, gap ${gap ?? 'none'}, token to ${time(expires * 1000)}, ${frames.length} frames`)
    const at = frames.findIndex((frame) => frame.id >= id)
    const around = at < 0 ? frames.slice(-4) : frames.slice(Math.max(0, at - 3), at + 3)
    lines.push(`    … ${around.map((frame) => `${frame.id} (${frame.n})`).join(', ')} …`)
  }
  const [since, until] = [shown[0]?.attempt.sentAt ?? 0, (shown.at(-1)?.attempt.sentAt ?? 0) + 2_000]
  for (const fault of history.faults) {
    const concerns = fault.target === undefined || fault.target === name || fault.target === channel
    if (concerns && fault.at >= since - 500 && fault.at <= until) {
      lines.push(`  fault ${fault.kind} at ${time(fault.at)}${fault.target ? `, to ${fault.target}` : ''}`)
    }
  }
  return lines.slice(0, EXCERPT_LINES)
}

function time(at: number | undefined): string {
  return at === undefined ? 'never' : new Date(at).toISOString().slice(11, 23)
}
