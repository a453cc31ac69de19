// Texts for people: times, sizes, numbers and tables.

// eslint-disable-next-line no-control-regex
const CONTROLS = /[\u0000-\u001f\u007f-\u009f]/g

export function hasControls(text: string): boolean {
  return text.search(CONTROLS) !== -1
}

/** Replaces control characters, so that a text of a client or server cannot control the terminal. */
export function plain(text: string): string {
  return text.replaceAll(CONTROLS, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`)
}

/** Returns a count with its noun: `1 event`, `2 events`. */
export function count(number: number, noun: string): string {
  return `${number.toLocaleString('en')} ${noun}${number === 1 ? '' : 's'}`
}

export function bytes(number: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB']
  const power = Math.min(Math.floor(Math.log2(Math.max(number, 1)) / 10), units.length - 1)
  return power === 0 ? count(number, 'byte') : `${(number / 1_024 ** power).toFixed(1)} ${units[power]}`
}

/** Returns a duration in its two largest units. */
export function duration(seconds: number): string {
  const units = [['d', 86_400], ['h', 3_600], ['min', 60], ['s', 1]] as const
  let rest = Math.round(Math.abs(seconds))
  const parts: string[] = []
  for (const [unit, length] of units) {
    const number = Math.floor(rest / length)
    rest -= number * length
    if (number > 0) parts.push(`${number} ${unit}`)
    else if (parts.length > 0) break
  }
  return parts.length === 0 ? '0 s' : parts.slice(0, 2).join(' ')
}

/** Returns a time on the clock of this machine, with the date if it is another day. */
export function time(date: Date, now = new Date()): string {
  const two = (number: number): string => String(number).padStart(2, '0')
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`
  const isToday = date.toDateString() === now.toDateString()
  const clock = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
  return isToday ? clock : `${day} ${clock}`
}

/** Returns the time in an event id, which begins with the microseconds since 1970, if it is plausible. */
export function timeOfId(id: string): Date | undefined {
  if (!/^\d{13,17}$/.test(id)) return undefined
  const milliseconds = Math.floor(Number(id) / 1_000)
  return milliseconds > MIN_TIME_MS ? new Date(milliseconds) : undefined
}

/** 2020-01-01: before any event. */
const MIN_TIME_MS = 1_577_836_800_000

/** Returns lines with aligned columns. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = []
  for (const row of rows) row.forEach((cell, n) => (widths[n] = Math.max(widths[n] ?? 0, cell.length)))
  return rows.map((row) => row.map((cell, n) => cell.padEnd(widths[n]!)).join('  ').trimEnd())
}

/** Returns a list in words: `a, b and c`. */
export function list(words: readonly string[], conjunction = 'and'): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} ${conjunction} ${words.at(-1)}`
}

/** Returns the shortest description of a thrown value: Node.js hides the reason of a failed request in the causes. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const { cause, message } = error
  if (error instanceof AggregateError && message === '' && error.errors.length > 0) return reasonOf(error.errors[0])
  return cause instanceof Error && /^(fetch failed|terminated)$/.test(message) ? reasonOf(cause) : message
}
