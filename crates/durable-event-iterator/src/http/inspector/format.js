// @ts-check
// Numbers and times as text, in the language of the browser.

const COUNT = new Intl.NumberFormat()
const TIME = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', fractionalSecondDigits: 3, hourCycle: 'h23' })
const CLOCK = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' })
const DATE_TIME = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium', hourCycle: 'h23' })
const SHORT = new Intl.DateTimeFormat(undefined, { month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' })

/** @param {number} number */
export const count = (number) => COUNT.format(number)

/**
 * @param {number} number
 * @param {string} noun - In the singular. The plural has an s.
 */
export const counted = (number, noun) => `${count(number)} ${noun}${number === 1 ? '' : 's'}`

/** @param {Date} date */
export const time = (date) => TIME.format(date)

/** @param {Date} date */
export const clock = (date) => CLOCK.format(date)

/** @param {Date} date */
export const dateTime = (date) => (Number.isNaN(date.getTime()) ? 'an invalid time' : DATE_TIME.format(date))

/** @param {Date} date */
export const shortDateTime = (date) => (Number.isNaN(date.getTime()) ? 'an invalid time' : SHORT.format(date))

/**
 * Returns the time at which an event was stored: its id contains it, in microseconds.
 *
 * @param {string} id
 */
export const timeOfId = (id) => new Date(Number(id) / 1_000)

/** @param {number} number */
export function bytes(number) {
  const units = ['B', 'KiB', 'MiB', 'GiB']
  let value = number
  let unit = 0
  while (value >= 1_024 && unit < units.length - 1) {
    value /= 1_024
    unit += 1
  }
  return `${new Intl.NumberFormat(undefined, { maximumFractionDigits: value < 10 && unit > 0 ? 1 : 0 }).format(value)} ${units[unit]}`
}

/** @param {number} seconds */
export function duration(seconds) {
  if (seconds >= 172_800) return counted(Math.round(seconds / 86_400), 'day')
  if (seconds >= 7_200) return `${count(Math.round(seconds / 360) / 10)} h`
  if (seconds >= 120) return `${count(Math.round(seconds / 6) / 10)} min`
  return `${count(Math.round(seconds * 10) / 10)} s`
}
