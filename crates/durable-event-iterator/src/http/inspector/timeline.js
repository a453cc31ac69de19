// @ts-check
// The timeline of the retention window: bars, the boundaries of segments, gaps, and the same as a table.

import { button, element, find, shape } from './dom.js'
import { bytes, clock, count, counted, dateTime, duration, timeOfId } from './format.js'

/** @import { Bucket, Segment, Stats } from './api.js' */

/** The height of the bars, in units of the image. */
const HEIGHT = 100

/** The number of buckets that are requested. */
export const BUCKETS = 60

export class Timeline {
  #chart = find('timeline-chart', HTMLElement)
  #summary = find('timeline-summary', HTMLElement)
  #from = find('timeline-from', HTMLElement)
  #to = find('timeline-to', HTMLElement)
  #peak = find('timeline-peak', HTMLElement)
  #rows = find('timeline-rows', HTMLTableSectionElement)
  #segmentRows = find('segment-rows', HTMLTableSectionElement)
  #onSelect

  /** @param {(milliseconds: number) => void} onSelect - Called with the time of a bucket. */
  constructor(onSelect) {
    this.#onSelect = onSelect
  }

  clear() {
    for (const part of [this.#chart, this.#rows, this.#segmentRows]) part.replaceChildren()
    for (const text of [this.#summary, this.#from, this.#to, this.#peak]) text.textContent = ''
  }

  /** @param {Stats} stats */
  show({ timeline = [], segments, events }) {
    const times = timeline.map(({ from }) => new Date(from).getTime())
    const [start, second] = times
    if (start === undefined) return this.clear()
    const width = second === undefined ? events.retentionSeconds * 1_000 : second - start
    const end = start + width * timeline.length
    const peak = Math.max(...timeline.map((bucket) => bucket.events))
    const total = timeline.reduce((sum, bucket) => sum + bucket.events, 0)
    const gaps = holes(segments)

    this.#summary.textContent = `${counted(total, 'event')} in ${duration((end - start) / 1_000)}${gaps.length > 0 ? `, ${counted(gaps.length, 'gap')}` : ''}`
    // The first part begins with the oldest retained event: events before it have expired, or there were none.
    const isWindow = end - start > events.retentionSeconds * 1_000 - width
    this.#from.textContent = `${clock(new Date(start))} · ${isWindow ? 'retention begins' : 'oldest event'}`
    this.#to.textContent = `${clock(new Date(end))} · now`
    this.#peak.textContent = peak > 0 ? `peak ${count(peak)} per ${duration(width / 1_000)}` : 'no events'

    const position = (/** @type {number} */ at) => ((at - start) / (end - start)) * timeline.length
    const image = shape('svg', {
      viewBox: `0 0 ${timeline.length} ${HEIGHT + 12}`,
      preserveAspectRatio: 'none',
      role: 'img',
      'aria-label': `Events over time: ${this.#summary.textContent}, ${this.#peak.textContent}. A table follows.`,
    })
    for (const [index, bucket] of timeline.entries()) {
      const height = bucket.events === 0 ? 0 : Math.max((bucket.events / peak) * HEIGHT, 3)
      const text = this.#describe(bucket, width)
      const column = shape(
        'g',
        { class: 'column' },
        shape('title', {}, text),
        shape('rect', { class: 'hit', x: index, y: 0, width: 1, height: HEIGHT }),
        shape('rect', { class: 'bar', x: index + 0.1, y: HEIGHT - height, width: 0.8, height }),
      )
      column.addEventListener('click', () => this.#onSelect(times[index] ?? start))
      image.append(column)
    }
    for (const [index, segment] of segments.entries()) {
      const from = Math.max(position(timeOfId(segment.after).getTime()), 0)
      const next = segments[index + 1]
      const to = Math.min(next === undefined ? timeline.length : position(timeOfId(next.after).getTime()), timeline.length)
      if (to <= from) continue
      const text = `Segment ${index + 1}: ${counted(segment.events, 'event')}, ${bytes(segment.bytes)}`
      const strip = { class: index % 2 === 0 ? 'segment' : 'segment other', x: from, y: HEIGHT + 5, width: to - from, height: 7 }
      image.append(shape('rect', strip, shape('title', {}, text)))
    }
    for (const gap of gaps) {
      const x = Math.min(Math.max(position(timeOfId(gap.to).getTime()), 0), timeline.length)
      const line = { class: 'gap-mark', x1: x, x2: x, y1: 0, y2: HEIGHT + 12 }
      image.append(shape('line', line, shape('title', {}, `Gap: events between ${gap.from} and ${gap.to} are missing`)))
    }
    this.#chart.replaceChildren(image)
    this.#table(timeline, times, width, segments, gaps)
  }

  /**
   * @param {Bucket[]} timeline
   * @param {number[]} times
   * @param {number} width
   * @param {Segment[]} segments
   * @param {Gap[]} gaps
   */
  #table(timeline, times, width, segments, gaps) {
    // The table is for reading: it is not replaced while a button in it has the focus.
    if (this.#rows.contains(document.activeElement)) return
    const filled = timeline.flatMap((bucket, index) => (bucket.events > 0 ? [{ bucket, at: times[index] ?? 0 }] : []))
    this.#rows.replaceChildren(
      ...filled.map(({ bucket, at }) => {
        const from = clock(new Date(at))
        const show = button('Show', () => this.#onSelect(at), { class: 'small', 'aria-label': `Show events from ${from}` })
        const cells = [from, clock(new Date(at + width)), count(bucket.events), bytes(bucket.bytes)]
        return element('tr', {}, ...cells.map((text) => element('td', {}, text)), element('td', {}, show))
      }),
    )
    const lost = new Set(gaps.map(({ to }) => to))
    this.#segmentRows.replaceChildren(
      ...segments.map((segment, index) => {
        const cells = [String(index + 1), segment.after, segment.lastId ?? '–', count(segment.events), bytes(segment.bytes)]
        const note = lost.has(segment.after) ? 'after a gap' : ''
        return element('tr', {}, ...[...cells, note].map((text) => element('td', {}, text)))
      }),
    )
  }

  /**
   * @param {Bucket} bucket
   * @param {number} width
   */
  #describe(bucket, width) {
    const from = new Date(bucket.from)
    return `${dateTime(from)} to ${clock(new Date(from.getTime() + width))}: ${counted(bucket.events, 'event')}, ${bytes(bucket.bytes)}`
  }
}

/** @typedef {{ from: string, to: string }} Gap */

/**
 * Returns the holes between segments: each one begins after the last id of the one before it.
 *
 * @param {Segment[]} segments
 * @returns {Gap[]}
 */
function holes(segments) {
  return segments.flatMap(({ after }, index) => {
    const before = segments[index - 1]
    const from = before?.lastId ?? before?.after
    return from !== undefined && BigInt(after) > BigInt(from) ? [{ from, to: after }] : []
  })
}
