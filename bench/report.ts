// Writes the results into docs/performance.md, between its markers, and into its chart. `npm run bench -- --report` measures
// first; `node bench/report.ts` writes the last results again.

import { readFileSync, writeFileSync } from 'node:fs'

import { EXAMPLES, billOf } from './bills.ts'
import type { Bill, Costs } from './bills.ts'
import { chart } from './chart.ts'
import { currentSetting, rough, table, textOf, whole, writeSections } from './document.ts'
import type { Setting } from './document.ts'
import type { Extras } from './extras.ts'
import type { Measured } from './measure.ts'
import { ROWS } from './rows.ts'
import type { Results, RowName } from './rows.ts'
import type { VariantName } from './variants.ts'

/** The results of a complete run, and its environment. */
export interface Measurements {
  results: Results
  extras: Extras
  rounds: number
  setting: Setting
}

const MEASUREMENTS = new URL('results.json', import.meta.url)
const CHART = new URL('../docs/performance.svg', import.meta.url)

const TITLES: Record<VariantName, string> = {
  ours: 'ours',
  typescript: 'ours, in TypeScript',
  peer: 'oRPC by hand',
  partyserver: 'PartyServer',
  baseline: 'baseline',
  noise: 'baseline again',
  baselineSql: 'JavaScript with SQL',
  sameLog: 'JavaScript with our log',
  inspect: 'ours with `inspect`',
  converted: 'ours with types of `worker`',
  npmUpgrade: 'npm function',
  orpcUpgrade: "oRPC's upgrade",
  httpByHand: 'HTTP by hand',
  baselineClients: 'baseline for real clients',
  presence: 'ours with presence',
  metrics: 'ours with metrics',
  before: 'an earlier commit',
}

const SERIES = [
  { variant: 'ours', colour: '#e8590c' },
  { variant: 'typescript', colour: '#f4a261' },
  { variant: 'peer', colour: '#4c8dd6' },
  { variant: 'partyserver', colour: '#8b949e' },
] as const satisfies { variant: VariantName; colour: string }[]

export function writeReport(measured: Omit<Measurements, 'setting'>): void {
  const measurements: Measurements = { ...measured, setting: currentSetting() }
  writeFileSync(MEASUREMENTS, `${JSON.stringify(measurements, undefined, 2)}\n`)
  render(measurements)
}

function render(measurements: Measurements): void {
  const sections: Record<string, string> = {
    setting: `${textOf(measurements.setting)}, ${measurements.rounds} rounds.`,
    ratios: ratios(measurements.results),
    cpu: cpu(measurements.results),
    counted: counted(measurements.extras),
    bills: bills(measurements),
  }
  writeSections(sections)
  writeFileSync(
    CHART,
    chart(
      'CPU of the runtime, as a multiple of the baseline (less is better)',
      SERIES.map(({ variant, colour }) => ({ name: TITLES[variant], colour })),
      rows(measurements.results).map(([name, row]) => ({
        title: ROWS[name].title,
        values: SERIES.map(({ variant }) => row[variant]?.ratio.median ?? Number.NaN),
      })),
    ),
  )
}

type Row = Partial<Record<VariantName, Measured>>

const rows = (results: Results): [RowName, Row][] => Object.entries(results) as [RowName, Row][]

function ratios(results: Results): string {
  const compared = ['ours', 'typescript', 'peer', 'partyserver', 'noise'] as const
  const cell = (measured: Measured | undefined): string =>
    measured ? `**${measured.ratio.median.toFixed(2)}** (${measured.ratio.min.toFixed(2)}–${measured.ratio.max.toFixed(2)})` : '–'
  return table(
    ['', ...compared.map((name) => TITLES[name])],
    rows(results).map(([name, row]) => [ROWS[name].title, ...compared.map((variant) => cell(row[variant]))]),
  )
}

function cpu(results: Results): string {
  const compared = ['ours', 'typescript', 'peer', 'partyserver', 'baseline', 'baselineSql', 'sameLog'] as const
  const cell = (measured: Measured | undefined): string => (measured ? `${rough(measured.cpu.median)} · ${whole(measured.rate)}` : '–')
  const lines = rows(results).map(([name, row]) => [
    `${ROWS[name].title}: per ${ROWS[name].unit}`,
    ...compared.map((variant) => cell(row[variant])),
  ])
  const timed = rows(results).filter(([, row]) => row.ours?.latency)
  const latencies = timed.map(([name, row]) => [
    ROWS[name].title,
    ...compared.slice(0, 5).map((variant) => {
      const latency = row[variant]?.latency
      return latency ? `${latency.p50.toFixed(2)} · ${latency.p99.toFixed(2)}` : '–'
    }),
  ])
  return [
    'CPU time in microseconds · operations per second of wall time:',
    table(['', ...compared.map((variant) => TITLES[variant])], lines),
    'Latency of a call in milliseconds: median · 99th percentile, with everything on one machine:',
    table(['', ...compared.slice(0, 5).map((variant) => TITLES[variant])], latencies),
  ].join('\n\n')
}

function counted({ rows: billed, memory, startUp, size }: Extras): string {
  const compared = ['ours', 'peer', 'partyserver', 'baseline'] as const
  const stored = ['ours', 'peer', 'partyserver'] as const
  const line = (title: string, cell: (name: (typeof stored)[number]) => string, baseline = '–'): string[] => [
    title,
    ...stored.map(cell),
    baseline,
  ]
  const { perSegment = { written: 0, read: 0 } } = billed.ours
  return [
    table(
      ['', ...compared.map((variant) => TITLES[variant])],
      [
        line('rows written per event over its whole life, deletion included', (name) => billed[name].written.toFixed(2), '0'),
        line('rows read per event over its whole life, deletion included', (name) => billed[name].read.toFixed(2), '0'),
        line('of these, rows read by the publish', (name) => billed[name].readPerPublish.toFixed(2), '0'),
        line('bytes of memory per idle, subscribed socket', (name) => whole(memory[name]), whole(memory.baseline)),
        line('milliseconds from the start of the runtime to an open socket', (name) => whole(startUp[name]), whole(startUp.baseline)),
      ],
    ),
    `In addition, ours writes ${whole(perSegment.written)} rows and reads ${whole(perSegment.read)} for each table of events. A table spans ` +
      'half the retention, or less if it reaches a quarter of a bound on retained events. The generic Worker, JavaScript and WebAssembly ' +
      `together, has ${whole(size.raw)} bytes, ${whole(size.gzip)} with gzip.`,
  ].join('\n\n')
}

/** Ours has one table. The peer has a table, an index, and SQLite's table of sequences. */
const BTREES = { ours: 1, peer: 3 }

function costsOf({ results, extras }: Measurements, name: 'ours' | 'peer'): Costs {
  const measured = (row: RowName): number => {
    const found = results[row]?.[name]
    if (found === undefined) throw new Error(`${row} was not measured for ${name}`)
    return found.cpu.median
  }
  const { written, read, perSegment } = extras.rows[name]
  return {
    cpuPerPublish: measured('publish_stub'),
    cpuPerDelivery: measured('fanout_1000_100'),
    cpuPerConnection: measured('upgrade'),
    cpuPerWaking: measured('wake'),
    rowsWritten: written,
    rowsRead: read,
    ...(perSegment === undefined ? {} : { segments: { rowsWritten: perSegment.written } }),
    btrees: BTREES[name],
  }
}

const dollars = (amount: number): string => (amount > 0 && amount < 0.005 ? '< $0.01' : `$${amount.toLocaleString('en', { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`)

function used(amount: number): string {
  if (amount >= 1e6) return `${rough(amount / 1e6)} million`
  return amount < 0.005 ? '0' : rough(amount)
}

function bills(measurements: Measurements): string {
  const [ours, peer] = [costsOf(measurements, 'ours'), costsOf(measurements, 'peer')]
  return EXAMPLES.map((example) => {
    const both = [billOf(example, ours), billOf(example, peer)] as const
    const lines = both[0].items.map(({ item }, n) => [
      item,
      ...both.flatMap(({ items }) => [used(items[n]?.used ?? 0), dollars(items[n]?.dollars ?? 0)]),
    ])
    const total = (title: string, of: (bill: Bill) => number): string[] => [
      title,
      ...both.flatMap((bill) => ['', `**${dollars(of(bill))}**`]),
    ]
    return [
      `**${example.title}**`,
      table(
        ['in 30 days', 'ours', '', TITLES.peer, ''],
        [
          ['Durable Objects', ...both.flatMap(({ objects }) => [whole(objects), ''])],
          ...lines,
          total('usage without the plan', ({ atListPrice }) => atListPrice),
          total('bill of an account with nothing else', ({ onThePlan }) => onThePlan),
        ],
      ),
    ].join('\n\n')
  }).join('\n\n')
}

if (import.meta.main) render(JSON.parse(readFileSync(MEASUREMENTS, 'utf8')) as Measurements)
