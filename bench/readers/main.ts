// `npm run bench -- readers [--quick] [--only live,replay] [--report] [--json]`

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'

import '../../tests/support/sources.ts'
import { currentSetting, table, textOf, whole, writeSections } from '../document.ts'
import type { Setting } from '../document.ts'
import type { Growth, LiveRun } from './readers.ts'

const { live, MEGABYTE, replay } = await import('./readers.ts')

/** The last measurements of each protocol, with their environment. */
interface Measurements {
  live?: { setting: Setting; ours: LiveRun; stock: LiveRun }
  replay?: { setting: Setting; ours: Growth; stock: Growth }
}

const MEASUREMENTS = new URL('../readers.json', import.meta.url)

const { values } = parseArgs({
  options: {
    /** Fewer readers and less data. */
    quick: { type: 'boolean', default: false },
    only: { type: 'string', default: 'live,replay' },
    /** Writes the table into the documentation. */
    report: { type: 'boolean', default: false },
    /** Standard output is one JSON object; all other output goes to standard error. */
    json: { type: 'boolean', default: false },
  },
})

const milliseconds = (time: number): string => `${time.toFixed(2)} ms`

/** Without flow control, readers that stop would need all of the memory, so there are fewer of them and less data. */
const [ours, stock] = values.quick
  ? [{ readers: 100, data: 20 * MEGABYTE }, { readers: 10, data: 10 * MEGABYTE }]
  : [{ readers: 1_000, data: 100 * MEGABYTE }, { readers: 50, data: 10 * MEGABYTE }]
const REPLAY = { readers: 20, data: 32 * MEGABYTE }

function sectionOf({ live, replay }: Measurements): string {
  const lines: string[][] = []
  const cells = ({ readers, data, growth, held }: Growth): string[] => [readers, data / MEGABYTE, held / MEGABYTE, growth / MEGABYTE].map(whole)
  for (const [name, run] of live ? ([['our clients', live.ours], ['oRPC\'s clients', live.stock]] as const) : []) {
    const before = { ...run, ...run.undisturbed, readers: 0 }
    lines.push([`live events, before ${name} connect`, ...cells(before), milliseconds(before.p99), '1'])
    lines.push([`live events, ${name}`, ...cells(run), milliseconds(run.p99), `${(run.p99 / run.undisturbed.p99).toFixed(2)}`])
  }
  for (const [name, run] of replay ? ([['our clients', replay.ours], ['oRPC\'s clients', replay.stock]] as const) : []) {
    lines.push([`a replay, ${name}`, ...cells(run), '–', '–'])
  }
  const head = ['to clients that read nothing', 'clients', 'MB of data', 'MB held', 'MB at most', 'p99 of a neighbour', 'times the undisturbed p99']
  const setting = (live ?? replay)?.setting
  return [...(setting === undefined ? [] : [`${textOf(setting)}.`]), table(head, lines)].join('\n\n')
}

const measured: Measurements = {}
const wanted = values.only.split(',')
if (wanted.includes('live')) {
  const runs = { ours: await live('ours', ours.readers, ours.data), stock: await live('stock', stock.readers, stock.data) }
  measured.live = { setting: currentSetting(), ...runs }
}
if (wanted.includes('replay')) {
  const runs = { ours: await replay('ours', REPLAY.readers, REPLAY.data), stock: await replay('stock', REPLAY.readers, REPLAY.data) }
  measured.replay = { setting: currentSetting(), ...runs }
}
if (values.json) process.stdout.write(`${JSON.stringify(measured)}\n`)
else console.log(sectionOf(measured))
if (values.report) {
  const stored = existsSync(MEASUREMENTS) ? (JSON.parse(readFileSync(MEASUREMENTS, 'utf8')) as Measurements) : {}
  const all = { ...stored, ...measured }
  writeFileSync(MEASUREMENTS, `${JSON.stringify(all, undefined, 2)}\n`)
  writeSections({ 'slow readers': sectionOf(all) })
}
process.exit(0)
