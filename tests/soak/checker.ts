// Judges a history. Pure: the same history has the same verdict.
//
// The order of a channel is that of its ids, and an id is the time of storing, in microseconds, by the clock that the
// clients' times are taken from too (it runs on the same machine). What the log had dropped when a subscription was
// answered is therefore known exactly, but for three things that nobody outside can know, which are left open:
//
// 1. At which moment between sending `/subscribe` and getting the answer the log was asked. So what had gone when it was
//    sent must be told, and what had not when the answer came must not.
// 2. Whether a publish that was never answered, and that nobody has ever seen, is stored. It may count or not.
// 3. Between three quarters of a bound and the whole bound, how many events are kept: that is not promised. But what was
//    said to be gone may not come again later, and what came later may not have been said to be gone.
//
// A wipe removes everything that is stored at one moment between its call and its response. Events stored before the
// call are gone after the response; those stored in between may be gone or not. The log learns of a wipe only when it is
// next used, and storage no longer contains the time. Until the first event is stored afterwards, the log can therefore
// not tell a token that was issued after the wipe from one that was issued before: a gap may be reported to both. From
// then on, a token that was issued later receives none.

import type { Attempt, Audience, Channel, ClientRecord, Delivery, History, Publish, Wipe } from './history.ts'

export type ViolationKind =
  | 'lost'
  | 'duplicated'
  | 'reordered'
  | 'leaked'
  | 'invented'
  | 'gap missed'
  | 'gap false'
  | 'iteration ended'
  | 'too many attempts'

export interface Violation {
  kind: ViolationKind
  channel: string
  /** None: it is about the publishers. */
  client?: string
  attempt?: number
  /** The id of the event that it is about; where it is about none, an id of its time. */
  id: number
  text: string
}

export interface Verdict {
  violations: Violation[]
  /** How many answers told of a gap. */
  gapsTold: number
}

const MICROS_PER_MILLI = 1_000
const MICROS_PER_SECOND = 1_000_000

/**
 * How long before its token's time a first connect may begin, in microseconds: the library's slack for the clock of
 * another host. Events of that time may come, from one of them on without a hole.
 */
const FIRST_CONNECT_SLACK = 2 * MICROS_PER_SECOND

/**
 * Ids grow by one where the clock has not moved, so an id runs ahead of the clock by as many microseconds as events were
 * stored in its millisecond; no run stores a thousand in one.
 */
const ID_AHEAD = MICROS_PER_MILLI

/** How long a client waits at least between two attempts to connect, in milliseconds: see the option `minReconnectionDelay`. */
const ATTEMPT_INTERVAL = 1_000

/**
 * How many attempts may come at once: those that a busy machine held up arrive late, and the next one may not.
 */
const ATTEMPT_BURST = 3

/** How long a publish that was never answered can have been under way, in microseconds: its publisher gives up then. */
const REACH_OF_DOUBT = 15 * MICROS_PER_SECOND

export function check(history: History): Verdict {
  const verdict: Verdict = { violations: [], gapsTold: 0 }
  const found = new Set<string>()
  const report = (violation: Violation): void => {
    // The same event can be missed in an attempt and by the application: it is one.
    const key = `${violation.kind} ${violation.client} ${violation.channel} ${violation.id}`
    if (!found.has(key)) verdict.violations.push(violation)
    found.add(key)
  }
  const publishes = new Map(history.publishes.map((publish) => [publish.n, publish]))
  for (const channel of history.channels) {
    const clients = history.clients.filter((client) => client.channel === channel.name)
    const log = new ChannelLog(channel, history, clients, report)
    log.checkOrderOfPublishing(report)
    for (const client of clients) {
      checkContents(client, publishes, log, report)
      checkNotifications(client, report)
      checkAttempts(client, report)
      const gaps = client.attempts.flatMap((attempt, index) => {
        if (attempt.gap !== undefined) verdict.gapsTold++
        return checkAttempt(client, index, attempt, log, report)
      })
      checkApplication(client, gaps, log, report)
    }
  }
  return verdict
}

type Report = (violation: Violation) => void

/** What is known to be in a channel's log: what was acknowledged, and what somebody got. */
class ChannelLog {
  readonly channel: Channel
  /** Ascending. */
  readonly ids: number[] = []
  readonly publishOf = new Map<number, Publish>()
  /** Publishes that may be stored or not. */
  readonly #doubtful: Publish[]
  readonly #claims: Claim[]
  /** By ascending `sentAt`; `first` is the lowest id that this attempt or a later one replayed. */
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
        const text = `event ${publish.n} came with the id ${id}, which is ${known === undefined ? "another event's" : `not its own, ${known}`}`
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
      for (const { frames } of client.attempts) {
        for (const { id, n } of frames) {
          const publish = byNumber.get(n)
          if (publish !== undefined && publish.outcome !== 'refused') store(publish, id, client.name)
        }
      }
    }
    this.ids.sort((a, b) => a - b)
    this.#doubtful = own.filter(({ n, outcome }) => outcome === 'unknown' && !idOf.has(n))

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

  /** How many known events have ids up to this one. */
  upTo(id: number): number {
    let [low, high] = [0, this.ids.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.ids[middle] as number) <= id) low = middle + 1
      else high = middle
    }
    return low
  }

  /** The highest id that must have gone by then; 0 without any. */
  goneAtLeast(sentAt: number): number {
    const stored = this.upTo(sentAt * MICROS_PER_MILLI - 1)
    const overBound = stored - this.channel.bound
    const expired = this.upTo((sentAt - this.channel.retention) * MICROS_PER_MILLI)
    const wiped = this.#wipes.reduce(
      (most, wipe) => (wipe.outcome === 'wiped' && wipe.endedAt < sentAt ? Math.max(most, this.upTo(wipe.sentAt * MICROS_PER_MILLI - 1)) : most),
      0,
    )
    const claimed = this.#claims.reduce((most, { answeredAt, lost }) => (answeredAt < sentAt ? Math.max(most, lost) : most), 0)
    // A gap after a wipe may end anywhere before the next event, and concerns nobody who knows the last event before that.
    return Math.max(this.#at(Math.max(overBound, expired, wiped)), this.#wipes.length === 0 ? claimed : this.#at(this.upTo(claimed)))
  }

  /** Whether everything up to this id may have gone by then, to who comes from `after`. */
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

  /** Ids never go back: one that is given out has a higher one than all that were known when its publish began. */
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
        const text = `event ${publish.n} has the id ${id}, though ${highest} had been answered when it was sent`
        report({ kind: 'reordered', channel: this.channel.name, id, text })
      }
    }
  }
}

/** Up to which id a client was told that events were lost, and when. */
interface Claim {
  answeredAt: number
  lost: number
}

/** A wipe as the log can know it. */
interface LoggedWipe extends Wipe {
  /** No event with a higher id can have gone by it. */
  through: number
  /** Who comes from this id on came after it, as far as the log can tell. */
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

/** What came must have been published, here, and for this client. */
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
      report({ ...at, kind: 'invented', id, text: `nobody published event ${n}` })
    } else if (publish.channel !== client.channel) {
      report({ ...at, kind: 'leaked', id, text: `event ${n} is of the channel ${publish.channel}` })
    } else if (publish.outcome === 'refused') {
      report({ ...at, kind: 'invented', id, text: `the publish of event ${n} was refused` })
    } else if (isMeantFor(client, publish.audience) === false) {
      report({ ...at, kind: 'leaked', id, text: `event ${n} is for ${JSON.stringify(publish.audience)}` })
    } else if (log.publishOf.get(id) !== publish) {
      report({ ...at, kind: 'invented', id, text: `event ${n} does not have the id ${id}` })
    } else if (id >= expires * MICROS_PER_SECOND + ID_AHEAD) {
      report({ ...at, kind: 'leaked', id, text: `event ${n} was published after the token had expired` })
    }
  }
}

/** Events after one id, up to another, that were no longer there. */
interface Gap {
  after: number
  to: number
}

/** A subscription's frames are those after where it resumed, without a hole but the gap, which is the answer. */
function checkAttempt(client: ClientRecord, index: number, attempt: Attempt, log: ChannelLog, report: Report): Gap[] {
  const about = { channel: client.channel, client: client.name, attempt: index }
  const { from, sentAt, answeredAt, gap, frames, ended = false } = attempt
  if (answeredAt === undefined) {
    if (frames.length > 0) report({ ...about, kind: 'invented', id: (frames[0] as Delivery).id, text: 'events came before the answer' })
    return []
  }
  // One that the server ended before any event: replaced by another one, or its token expired.
  // The client has to subscribe again, and what that one responds counts.
  if (ended && gap === undefined && frames.length === 0) return []
  const first = 'issuedAt' in from
  // "Since the token was issued" includes that very microsecond.
  const after = first ? from.issuedAt * MICROS_PER_SECOND - 1 : from.lastEventId

  const atLeast = log.goneAtLeast(sentAt)
  // Whether it was told or not, what had gone is not lost: it was not retained.
  const gone = gap === undefined ? atLeast : gap - 1
  if (gap === undefined) {
    if (atLeast > after) {
      report({ ...about, kind: 'gap missed', id: atLeast, text: `${atLeast} had gone, and it was not told to who came from ${after}` })
    }
  } else {
    const lost = gap - 1
    if (lost <= after || lost < atLeast || !log.mayHaveGone(lost, answeredAt, after)) {
      const text = `a gap up to ${lost} was told to who came from ${after}; up to ${atLeast} had gone, if not more`
      report({ ...about, kind: 'gap false', id: lost, text })
    }
  }

  checkOrder(frames, (kind, id, text) => report({ ...about, kind, id, text }))
  const asked = gap === undefined ? after : Math.max(after, gap - 1)
  const earliest = first && gone <= after ? asked - FIRST_CONNECT_SLACK : asked
  for (const { id } of frames) {
    if (id <= earliest) {
      const text = `${id} came to who asked for what is after ${asked}`
      report({ ...about, kind: first ? 'invented' : 'duplicated', id, text })
    }
  }
  const last = frames.reduce((highest, { id }) => Math.max(highest, id), 0)
  const came = new Set(frames.map(({ id }) => id))
  const begin = gone > after ? gone : Math.min(asked, (frames[0]?.id ?? Number.POSITIVE_INFINITY) - 1)
  reportMissing(client, log, begin, last, came, (id, text) => report({ ...about, kind: 'lost', id, text }))
  return gone > after ? [{ after, to: gone }] : []
}

/** What the application got: once, in order, and complete but for the gaps. */
function checkApplication(client: ClientRecord, gaps: Gap[], log: ChannelLog, report: Report): void {
  const about = { channel: client.channel, client: client.name }
  const { delivered, stayed } = client
  checkOrder(delivered, (kind, id, text) => report({ ...about, kind, id, text: `to the application: ${text}` }))
  const first = delivered[0]?.id
  const came = new Set(delivered.map(({ id }) => id))
  const end = stayed ? log.channel.last : undefined
  if (end !== undefined && !came.has(end)) {
    report({ ...about, kind: 'lost', id: end, text: `the last event ${end} never came` })
  }
  if (first === undefined) return
  const last = delivered.reduce((highest, { id }) => Math.max(highest, id), 0)
  reportMissing(client, log, first, Math.max(last, end ?? 0), came, (id, text) => {
    if (!gaps.some(({ after, to }) => after < id && id <= to)) {
      report({ ...about, kind: 'lost', id, text: `to the application: ${text}` })
    }
  })
}

/** Every gap in an answer is one that the application is notified of, between the right events. */
function checkNotifications(client: ClientRecord, report: Report): void {
  const { notified, attempts, delivered, stayed } = client
  if (notified === undefined) return
  const about = { channel: client.channel, client: client.name }
  const told = attempts.flatMap((attempt, index) => (attempt.gap === undefined ? [] : [{ gap: attempt.gap, attempt: index }]))
  for (let n = 0; n < Math.max(told.length, notified.length); n++) {
    const [expected, notification] = [told[n], notified[n]]
    if (notification === undefined && expected !== undefined) {
      // One that has left may have left before.
      if (!stayed) return
      const { gap, attempt } = expected
      return report({ ...about, kind: 'gap missed', attempt, id: gap - 1, text: `the application was not notified of the gap before ${gap}` })
    }
    const { next, after } = notification as NonNullable<typeof notification>
    if (expected?.gap !== next) {
      return report({ ...about, kind: 'gap false', id: next - 1, text: `the application was notified of a gap before ${next}, and the answer said ${expected?.gap ?? 'none'}` })
    }
    const misplaced = delivered.find(({ id }, index) => id < next !== index < after)
    if (misplaced !== undefined) {
      report({ ...about, kind: 'gap false', attempt: expected.attempt, id: misplaced.id, text: `the application was notified of the gap before ${next} on the wrong side of ${misplaced.id}` })
    }
  }
}

/** A client that limits its attempts keeps to it, and its iterators go on. */
function checkAttempts(client: ClientRecord, report: Report): void {
  const { handshakes = [], ended = [] } = client
  const about = { channel: client.channel, client: client.name }
  for (const text of ended) {
    report({ ...about, kind: 'iteration ended', id: client.delivered.at(-1)?.id ?? 0, text: `its iterator ended: ${text}` })
  }
  // How many more there were than one for each interval, as a bucket that leaks.
  let [level, before] = [0, Number.NEGATIVE_INFINITY]
  for (const at of handshakes) {
    level = Math.max(0, level - (at - before) / ATTEMPT_INTERVAL) + 1
    before = at
    if (level <= ATTEMPT_BURST) continue
    const text = `it connected ${handshakes.filter((other) => other <= at && other > at - 10 * ATTEMPT_INTERVAL).length} times within ${10 * ATTEMPT_INTERVAL} ms`
    return report({ ...about, kind: 'too many attempts', id: at * MICROS_PER_MILLI, text })
  }
}

function checkOrder(deliveries: Delivery[], report: (kind: ViolationKind, id: number, text: string) => void): void {
  const seen = new Set<number>()
  let highest = 0
  for (const { id } of deliveries) {
    if (seen.has(id)) report('duplicated', id, `${id} came twice`)
    else if (id < highest) report('reordered', id, `${id} came after ${highest}`)
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
      report(id, `event ${publish.n}, ${publish.outcome === 'stored' ? 'acknowledged' : 'seen by others'}, never came, but ${last} did`)
    }
  }
}

/** How many lines an excerpt has at most: what fits a screen. */
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
  // The one that it is about, or those at the time of the event.
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
