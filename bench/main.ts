// `npm run bench [-- --quick --json --only ping_1,wake --variants ours --rounds 7]`

import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'

import { extras } from './extras.ts'
import type { Extras } from './extras.ts'
import { quantile, spread } from './measure.ts'
import type { Measured, Sample } from './measure.ts'
import { writeReport } from './report.ts'
import { ROWS } from './rows.ts'
import type { Results, RowName } from './rows.ts'
import { Variant } from './variants.ts'
import type { VariantName } from './variants.ts'

const COMPARED = ['ours', 'typescript', 'peer', 'partyserver', 'baseline', 'noise'] as const satisfies VariantName[]

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    /** Fewer rounds, less than two minutes. */
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    /** In addition to the baseline, which is always measured. */
    variants: { type: 'string' },
    rounds: { type: 'string' },
    /** Writes the tables and the chart into the documentation. */
    report: { type: 'boolean', default: false },
  },
})

const rounds = Number(values.rounds ?? (values.quick ? 2 : 7))
const say = (line: string): void => {
  const stream = values.json ? process.stderr : process.stdout
  stream.write(`${line}\n`)
}
const names = (values.only?.split(',') ?? Object.keys(ROWS)) as RowName[]
const wanted = values.variants?.split(',') ?? COMPARED
const compared = COMPARED.filter((name) => name === 'baseline' || wanted.includes(name))

async function measureRow(name: RowName, variants: Map<VariantName, Variant>): Promise<Partial<Record<VariantName, Measured>>> {
  const row = ROWS[name] as (typeof ROWS)['resume_5000']
  const running: Variant[] = []
  for (const variant of [...compared, ...(row.also ?? [])]) {
    if (!variants.has(variant)) variants.set(variant, await Variant.start(variant))
    running.push(variants.get(variant)!)
  }
  const ready = []
  for (const variant of running) ready.push({ name: variant.name, ...(await row.prepare(variant)) })
  const samples = new Map<VariantName, Sample[]>(ready.map(({ name }) => [name, []]))
  // The first round is a warm-up for the JIT compilers of the runtime.
  for (let round = 0; round <= rounds; round++) {
    await row.rest?.()
    // Each round starts with another variant, so that none always follows the same one.
    for (let n = 0; n < ready.length; n++) {
      const { name, measure } = ready[(n + round) % ready.length]!
      const measured = await measure()
      if (round > 0) samples.get(name)!.push(measured)
    }
  }
  for (const { end } of ready) end()
  const baseline = samples.get('baseline')!
  return Object.fromEntries(
    [...samples].map(([name, of]) => {
      const latencies = of.flatMap(({ latencies = [] }) => latencies)
      const measured: Measured = {
        cpu: spread(of.map(({ cpu }) => cpu)),
        ratio: spread(of.map(({ cpu }, round) => cpu / baseline[round]!.cpu)),
        rate: quantile(of.map(({ rate }) => rate), 0.5),
        ...(latencies.length > 0 ? { latency: { p50: quantile(latencies, 0.5), p99: quantile(latencies, 0.99) } } : {}),
      }
      return [name, measured]
    }),
  )
}

const digits = (number: number): string => number.toFixed(number < 100 ? 2 : 0)

function tell(name: RowName, measured: Partial<Record<VariantName, Measured>>): void {
  say(`\n${name}: ${ROWS[name].title}`)
  for (const [variant, { cpu, ratio, rate, latency }] of Object.entries(measured)) {
    say(
      [
        `  ${variant.padEnd(12)}`,
        `${digits(ratio.median)} (${digits(ratio.min)} to ${digits(ratio.max)})`.padEnd(24),
        `${digits(cpu.median)} µs of CPU per ${ROWS[name].unit}`.padEnd(34),
        `${Math.round(rate).toLocaleString('en')}/s`.padEnd(12),
        latency ? `p50 ${digits(latency.p50)} ms, p99 ${digits(latency.p99)} ms` : '',
      ].join(' ').trimEnd(),
    )
  }
}

const results: Results = {}
const variants = new Map<VariantName, Variant>()
let more: Extras | undefined
try {
  for (const name of names) {
    results[name] = await measureRow(name, variants)
    tell(name, results[name])
  }
} finally {
  await Promise.all([...variants.values()].map((variant) => variant.stop()))
}
if (values.only === undefined) {
  more = await extras(say, values.quick)
}

if (values.report && more) writeReport({ results, extras: more, rounds })
if (values.json) {
  const medians = Object.fromEntries(
    Object.entries(results).map(([name, measured]) => [
      name,
      Object.fromEntries(
        Object.entries(measured).flatMap(([variant, { ratio }]) =>
          variant === 'baseline' ? [] : [[variant, Number(ratio.median.toFixed(3))]],
        ),
      ),
    ]),
  )
  const figures = more && {
    rows_written_per_event: more.rows.ours.written,
    rows_read_per_publish: more.rows.ours.readPerPublish,
    worker_gzip_bytes: more.size.gzip,
    bytes_per_idle_socket: Math.round(more.memory.ours),
  }
  writeFileSync(1, `${JSON.stringify({ ...medians, ...figures })}\n`)
}
process.exit(0)
