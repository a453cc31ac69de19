// `npm run bench -- presence [--members 10000] [--rate 1000] [--rounds 1] [--processes 2] [--quick] [--report] [--json]`

import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'

import '../../tests/support/sources.ts'
import { currentSetting, rough, table, textOf, whole, writeSections } from '../document.ts'
import type { Setting } from '../document.ts'
import { quantile } from '../measure.ts'
import type { Phase, Run } from './run.ts'

const { run } = await import('./run.ts')

const { values } = parseArgs({
  options: {
    members: { type: 'string' },
    rate: { type: 'string' },
    rounds: { type: 'string', default: '1' },
    processes: { type: 'string', default: '2' },
    /** 1,000 members. */
    quick: { type: 'boolean', default: false },
    /** Writes the table into the documentation. */
    report: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
})

function integer(name: 'members' | 'rate' | 'rounds' | 'processes', fallback: number): number {
  const value = Number(values[name] ?? fallback)
  if (Number.isSafeInteger(value) && value > 0) return value
  console.error(`--${name} must be an integer of at least 1, got ${values[name]}`)
  process.exit(2)
}

interface Measurements {
  setting: Setting
  members: number
  rate: number
  runs: Run[]
}

const MEASUREMENTS = new URL('../presence.json', import.meta.url)
const MEGABYTE = 1_000_000

function sectionOf({ setting, members, rate, runs }: Measurements): string {
  const median = (phase: keyof Omit<Run, 'idleCpu'>, number: (phase: Phase) => number): number => quantile(runs.map((each) => number(each[phase])), 0.5)
  const most = (phase: keyof Omit<Run, 'idleCpu'>, number: (phase: Phase) => number): number => Math.max(...runs.map((each) => number(each[phase])))
  const line = (title: string, phase: keyof Omit<Run, 'idleCpu'>): string[] => {
    const has = (number: (phase: Phase) => number | undefined): boolean => number(runs[0]![phase]) !== undefined
    const seen = (part: 'p50' | 'p99'): string => (has(({ seen }) => seen?.p50) ? whole(median(phase, ({ seen }) => seen![part])) : '–')
    const checked = (number: (phase: Phase) => number | undefined): string => (has(number) ? whole(most(phase, (each) => number(each)!)) : '–')
    return [
      title,
      whole(median(phase, (each) => each.members)),
      median(phase, ({ seconds }) => seconds).toFixed(1),
      rough(median(phase, ({ cpu }) => cpu)),
      whole(median(phase, ({ messages }) => messages)),
      whole(median(phase, ({ bytes }) => bytes) / MEGABYTE),
      seen('p50'),
      seen('p99'),
      has(({ converged }) => converged) ? (median(phase, ({ converged }) => converged!) / 1_000).toFixed(1) : '–',
      checked(({ ghosts }) => ghosts),
      checked(({ missing }) => missing),
    ]
  }
  const head = [
    `${whole(members)} members, ${whole(rate)} per second`, 'members', 'seconds', 'µs of CPU per member', 'messages', 'MB', 'seen after ms, p50', 'p99',
    'converged after s', 'ghosts', 'missing',
  ]
  return [
    `${textOf(setting)}, ${runs.length} ${runs.length === 1 ? 'run' : 'runs'}.`,
    table(head, [
      line('join, without presence', 'joinsWithout'),
      line('join', 'joins'),
      line('the runtime is killed, members return', 'returns'),
      line('leave at once', 'leaves'),
    ]),
    `Without changes, the runtime used ${rough(Math.max(...runs.map(({ idleCpu }) => idleCpu)))} ms of CPU in two seconds.`,
  ].join('\n\n')
}

const members = integer('members', values.quick ? 1_000 : 10_000)
const rate = integer('rate', values.quick ? 500 : 1_000)
const rounds = integer('rounds', 1)
const say = (line: string): void => void (values.json ? process.stderr : process.stdout).write(`${line}\n`)
const runs: Run[] = []
for (let n = 0; n < rounds; n++) {
  runs.push(await run({ members, rate, processes: integer('processes', 2), leaving: Math.floor(members / 10), lost: Math.floor(members / 100), say }))
}
const measurements: Measurements = { setting: currentSetting(), members, rate, runs }
if (values.json) process.stdout.write(`${JSON.stringify(measurements)}\n`)
else console.log(sectionOf(measurements))
if (values.report) {
  writeFileSync(MEASUREMENTS, `${JSON.stringify(measurements, undefined, 2)}\n`)
  writeSections({ presence: sectionOf(measurements) })
}
// The guarantees, which do not depend on the machine.
const wrong = runs.flatMap(({ joins, returns, leaves }) => [joins, returns, leaves]).filter(({ ghosts = 0, missing = 0 }) => ghosts + missing > 0)
for (const { ghosts, missing } of wrong) console.error(`${ghosts} members in lists have no connection, and ${missing} are missing`)
process.exit(wrong.length > 0 ? 1 : 0)
