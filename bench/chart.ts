// The chart of docs/performance.md: CPU time of each row as a multiple of the baseline, which is a line.

export interface Bars {
  title: string
  /** The medians, in the order of the series. */
  values: number[]
}

export interface Series {
  name: string
  /** Readable on white and on almost black backgrounds. */
  colour: string
}

const WIDTH = 980
/** The left end of the bars. The titles are to its left. */
const LEFT = 420
/** The space for the number to the right of the longest bar. */
const RIGHT = 64
const TOP = 74
const BAR = 11
const ROW_GAP = 15

/** The marked multiples. Bars beyond the last mark are cut; their numbers are complete. */
const MARKS = [0, 1, 2, 3, 4]
const END = 4

/**
 * Returns an image that follows the colour scheme of the system. It has its own background, since a page may have another
 * colour scheme.
 */
export function chart(title: string, series: Series[], rows: Bars[]): string {
  const rowHeight = series.length * BAR + ROW_GAP
  const bottom = TOP + rows.length * rowHeight
  const x = (multiple: number): number => LEFT + (Math.min(multiple, END) / END) * (WIDTH - LEFT - RIGHT)
  const parts: string[] = []

  let legend = LEFT
  for (const { name, colour } of series) {
    parts.push(`<rect x="${legend}" y="38" width="12" height="12" rx="2" fill="${colour}"/>`)
    parts.push(`<text x="${legend + 18}" y="48.5">${name}</text>`)
    legend += 36 + name.length * 7.2
  }
  for (const mark of MARKS) {
    parts.push(`<line class="${mark === 1 ? 'baseline' : 'grid'}" x1="${x(mark)}" x2="${x(mark)}" y1="${TOP - 8}" y2="${bottom}"/>`)
    const label = mark === 1 ? 'baseline' : `${mark}×`
    parts.push(`<text class="${mark === 1 ? 'strong' : 'soft'}" x="${x(mark)}" y="${bottom + 17}" text-anchor="middle">${label}</text>`)
  }
  rows.forEach((row, at) => {
    const top = TOP + at * rowHeight
    const middle = top + (series.length * BAR) / 2
    parts.push(`<text x="${LEFT - 12}" y="${middle + 4}" text-anchor="end">${row.title}</text>`)
    row.values.forEach((value, n) => {
      if (Number.isNaN(value)) return
      const y = top + n * BAR
      const end = x(value)
      parts.push(`<rect x="${LEFT}" y="${y}" width="${(end - LEFT).toFixed(1)}" height="${BAR - 1.5}" fill="${series[n]?.colour}"/>`)
      if (value > END) parts.push(`<path class="cut" d="M${end - 13} ${y - 1}l-5 ${BAR}m5 0l5 ${-BAR}"/>`)
      parts.push(`<text class="number" x="${end + 5}" y="${y + BAR - 2}">${value.toFixed(2)}</text>`)
    })
  })
  // The baseline again, above the bars.
  parts.push(`<line class="baseline" x1="${x(1)}" x2="${x(1)}" y1="${TOP - 8}" y2="${bottom}"/>`)

  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${bottom + 32}" role="img" aria-label="${title}">
<style>
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .title { font-size: 15px; font-weight: 600 }
  .number { font-size: 10.5px }
  .strong { font-weight: 600 }
  .soft { fill: #59636e }
  .ground { fill: #ffffff }
  .grid { stroke: #d1d9e0 }
  .baseline { stroke: #1f2328; stroke-width: 1.5; stroke-dasharray: 4 3 }
  .cut { stroke: #ffffff; stroke-width: 2; fill: none }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .soft { fill: #9198a1 }
    .ground { fill: #0d1117 }
    .grid { stroke: #3d444d }
    .baseline { stroke: #e6edf3 }
    .cut { stroke: #0d1117 }
  }
</style>
<rect class="ground" width="${WIDTH}" height="${bottom + 32}" rx="6"/>
<text class="title" x="16" y="24">${title}</text>
${parts.join('\n')}
</svg>
`
}
