// The difference between the clock of this machine and the clock of the Worker.

import type { Answer } from './answer.js'
import { failed, ok, skipped } from './check.js'
import type { Finding } from './check.js'
import { duration } from '../text.js'

const TITLE = 'clock'

/** The tolerance, in milliseconds. A channel tolerates token issuers whose clocks are ahead by 2 s. */
const TOLERANCE_MS = 2_000

const ADVICE = 'synchronize the clock of this machine (NTP): tokens that it issues are valid too late or expire too early'

/**
 * Returns how far the clock of this machine is ahead, in milliseconds, from the header `Date`. Negative if it is behind, 0 if it is within
 * the precision of the header, and `undefined` without the header.
 */
export function leadOf({ headers, sentAt, receivedAt }: Answer): number | undefined {
  const date = Date.parse(headers.get('date') ?? '')
  if (Number.isNaN(date)) return undefined
  // The header has whole seconds: the Worker's time is in the second that begins at `date`.
  const isPossible = sentAt <= date + 1_000 && receivedAt >= date
  return isPossible ? 0 : (sentAt + receivedAt) / 2 - (date + 500)
}

export function clockFinding(lead: number | undefined): Finding {
  if (lead === undefined) return skipped(TITLE, 'the server sends no header Date')
  if (Math.abs(lead) <= TOLERANCE_MS) return ok(TITLE, 'the clocks of this machine and of the server agree')
  const direction = lead > 0 ? 'ahead' : 'behind'
  const seconds = Math.abs(lead) / 1_000
  // The difference is known to about a second.
  const shown = duration(seconds < 120 ? seconds : Math.round(seconds / 60) * 60)
  return failed(TITLE, `the clock of this machine is ${direction} by about ${shown}`, ADVICE)
}

/** The tested differences, in seconds. */
const OFFSETS = [2, 10, 60, 600, 3_600, 86_400]

/** The lifetime of the tokens that are accepted whatever the difference, in seconds: longer than the largest tested one. */
export const PROBE_LIFETIME = 2 * 86_400

/**
 * Determines the difference without the header: by tokens that are valid only from or until a time close to now.
 *
 * @param isAccepted - Whether the Worker accepts a token with these times, in seconds since 1970. Its signature fits.
 */
export async function clockByTokens(isAccepted: (times: { nbf: number; exp: number }) => Promise<boolean>): Promise<Finding> {
  const times = (offset: number, direction: 'ahead' | 'behind'): { nbf: number; exp: number } => {
    const now = Math.floor(Date.now() / 1_000)
    return direction === 'ahead' ? { nbf: now - offset, exp: now + PROBE_LIFETIME } : { nbf: 0, exp: now + offset }
  }
  for (const direction of ['ahead', 'behind'] as const) {
    let beyond: number | undefined
    for (const offset of OFFSETS) {
      if (await isAccepted(times(offset, direction))) break
      beyond = offset
    }
    if (beyond !== undefined) {
      return failed(TITLE, `the clock of this machine is ${direction} by more than ${duration(beyond)}, as the Worker rejects tokens by their times`, ADVICE)
    }
  }
  return ok(TITLE, 'the Worker accepts tokens with the times of this machine')
}
