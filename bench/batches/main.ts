// `npm run bench -- batches [--rounds 7] [--quick] [--report] [--json]`: the CPU time per event of `publishBatch` by stub, in turns
// with single publishes.

import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'

import { currentSetting, rough, table, textOf, whole, writeSections } from '../document.ts'
import type { Setting } from '../document.ts'
import { quantile, sample, spread } from '../measure.ts'
import type { Sample, Spread } from '../measure.ts'
import { Variant } from '../variants.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string' },
    quick: { type: 'boolean', default: false },
    /** Writes the table into the documentation. */
    report: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
})
const rounds = Number(values.rounds ?? (values.quick ? 2 : 7))
if (!Number.isSafeInteger(rounds) || rounds < 1) {
  console.error(`--rounds must be an integer of at least 1, got ${values.rounds}`)
  process.exit(2)
}

/** The number of events of a measurement, and their size in bytes. */
const EVENTS = 2_000
const BYTES = 100

/** The number of events of a call; undefined for `publish`. */
const SIZES = [undefined, 10, 100, 1_000] as const

/** The largest CPU time per event of a batch of 100, as a multiple of that of single publishes. */
const ALLOWED = 0.35

const VARIANTS = { ours: 'a class in Rust', typescript: 'a class in TypeScript' } as const

interface Result {
  variant: keyof typeof VARIANTS
  size: number | undefined
  /** Microseconds per event. */
  cpu: Spread
  /** The CPU time as a multiple of that of single publishes in the same round. */
  ratio: Spread
  /** Events per second. */
  rate: number
}

async function measure(name: keyof typeof VARIANTS): Promise<Result[]> {
  const variant = await Variant.start(name)
  try {
    const samples = new Map<number | undefined, Sample[]>(SIZES.map((size) => [size, []]))
    // The first round is a warm-up for the JIT compilers of the runtime.
    for (let round = 0; round <= rounds; round++) {
      for (let n = 0; n < SIZES.length; n++) {
        const size = SIZES[(n + round) % SIZES.length]
        const measured = await sample(variant.pid, EVENTS, () => variant.publish(['batches'], EVENTS, BYTES, undefined, size))
        if (round > 0) samples.get(size)!.push(measured)
      }
    }
    const single = samples.get(undefined)!
    return SIZES.map((size) => {
      const of = samples.get(size)!
      return {
        variant: name,
        size,
        cpu: spread(of.map(({ cpu }) => cpu)),
        ratio: spread(of.map(({ cpu }, round) => cpu / single[round]!.cpu)),
        rate: quantile(of.map(({ rate }) => rate), 0.5),
      }
    })
  } finally {
    await variant.stop()
  }
}

function sectionOf(setting: Setting, results: Result[]): string {
  const lines = results.map(({ variant, size, cpu, ratio, rate }) => [
    `${VARIANTS[variant]}, ${size === undefined ? '`publish`' : `\`publishBatch\` of ${whole(size)}`}`,
    rough(cpu.median),
    `**${ratio.median.toFixed(2)}** (${ratio.min.toFixed(2)}–${ratio.max.toFixed(2)})`,
    whole(rate),
  ])
  const head = [`by stub, ${BYTES} B, no listeners`, 'µs of CPU per event', 'times a single publish', 'events per second']
  return [`${textOf(setting)}, ${rounds} rounds.`, table(head, lines)].join('\n\n')
}

const setting = currentSetting()
const results = [...(await measure('ours')), ...(await measure('typescript'))]
const section = sectionOf(setting, results)
if (values.json) process.stdout.write(`${JSON.stringify({ setting, rounds, results })}\n`)
else console.log(section)
if (values.report) {
  writeFileSync(new URL('../batches.json', import.meta.url), `${JSON.stringify({ setting, rounds, results }, undefined, 2)}\n`)
  writeSections({ batches: section })
}
const slow = results.filter(({ size, ratio }) => size === 100 && ratio.median > ALLOWED)
for (const { variant, ratio } of slow) {
  console.error(`${VARIANTS[variant]}: an event of a batch of 100 takes ${ratio.median.toFixed(2)} of a single publish, at most ${ALLOWED} is allowed`)
}
process.exit(slow.length > 0 ? 1 : 0)
