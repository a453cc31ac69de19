// The values of options and arguments. Each function throws the error of the argument parser with the expected form.

import { InvalidArgumentError } from 'commander'

import { messageOf } from '../client/errors.js'
import { checkChannel } from '../token/limits.js'

/** Adds a value to those of an option that is given several times. */
export function collect(value: string, previous: readonly string[] = []): string[] {
  return [...previous, value]
}

export function channelName(text: string): string {
  try {
    checkChannel(text)
  } catch (error) {
    throw new InvalidArgumentError(`${messageOf(error)}.`)
  }
  return text
}

/** Returns a function that reads an integer of a range. */
export function integer(min: number, max: number): (text: string) => number {
  return (text) => {
    const number = Number(text)
    if (/^\d+$/.test(text) && number >= min && number <= max) return number
    throw new InvalidArgumentError(`Expected an integer from ${min} to ${max}.`)
  }
}

export function json(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new InvalidArgumentError(`Expected JSON: ${(error as Error).message}.`)
  }
}

/** Returns the text of a JSON value unchanged: parsing would round large numbers. */
export function jsonText(text: string): string {
  json(text)
  return text
}

export function idempotencyKey(text: string): string {
  if (/^[!-~]{1,255}$/.test(text)) return text
  throw new InvalidArgumentError('Expected 1–255 visible ASCII characters.')
}

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 }

/** Reads a duration, such as `90`, `90s`, `15m`, `2h` or `7d`. Returns seconds. */
export function seconds(text: string): number {
  const [, number, unit = 's'] = /^(\d+(?:\.\d+)?)([smhd])?$/.exec(text) ?? []
  if (number === undefined) throw new InvalidArgumentError('Expected a duration, such as 90s, 15m, 2h or 7d.')
  return Number(number) * UNITS[unit]!
}

/** Reads a time: a duration before now, a date, or seconds since 1970. Returns seconds since 1970. */
export function instant(text: string): number {
  const time = secondsOf(text)
  if (time >= 0) return time
  throw new InvalidArgumentError('Expected a duration before now (15m), a date (2026-01-31T12:00:00Z), or seconds since 1970.')
}

function secondsOf(text: string): number {
  if (/^\d+(\.\d+)?[smhd]$/.test(text)) return Date.now() / 1_000 - seconds(text)
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text)
  return /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) / 1_000 : Number.NaN
}

/** Reads the URL of a Worker: `ws:` and `wss:` are the same as `http:` and `https:`. */
export function workerUrl(text: string): URL {
  let url: URL
  try {
    url = new URL(text.replace(/^ws(?=s?:)/, 'http'))
  } catch {
    throw new InvalidArgumentError('Expected a URL, such as https://channels.example.com.')
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw new InvalidArgumentError('Expected a URL with http: or https:.')
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw new InvalidArgumentError('Expected a URL without user, query and fragment.')
  }
  return url
}

/** Reads a path of a URL. */
export function urlPath(text: string): string {
  if (/^\/[^?#]*$/.test(text)) return text
  throw new InvalidArgumentError('Expected a path that begins with a slash, such as /channels.')
}
