// `npm run bench -- features [--rounds 7] [--before <checkout>] [--only publish_stub,fanout_1000_100] [--json]`: rows of the benchmark
// with presence and with metrics, in turns with the same Durable Object without them, and with `bench/worker` of a built checkout
// of an earlier commit.

import { parseArgs } from 'node:util'

import { rough, table } from '../document.ts'
import { spread } from '../measure.ts'
import type { Sample, Spread } from '../measure.ts'
import { ROWS } from '../rows.ts'
import type { Row, RowName } from '../rows.ts'
import { measureBefore, Variant } from '../variants.ts'
import type { VariantName } from '../variants.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '7' },
    only: { type: 'string', default: 'fanout_200_100,fanout_1000_100,publish_stub,publish_socket,ping_32,upgrade,wake' },
    before: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
})
const rounds = Number(values.rounds)
if (!Number.isSafeInteger(rounds) || rounds < 1) {
  console.error(`--rounds must be an integer of at least 1, got ${values.rounds}`)
  process.exit(2)
}
const names = values.only.split(',') as RowName[]
const unknown = names.find((name) => ROWS[name] === undefined)
if (unknown !== undefined) {
  console.error(`--only must list some of ${Object.keys(ROWS).join(', ')}, got ${unknown}`)
  process.exit(2)
}
try {
  if (values.before !== undefined) measureBefore(values.before)
} catch (error) {
  console.error((error as Error).message)
  process.exit(2)
}

/** All are compared with the first one. */
const compared: VariantName[] = [...(values.before === undefined ? [] : (['before'] as const)), 'ours', 'presence', 'metrics']
const say = (line: string): void => void (values.json ? process.stderr : process.stdout).write(`${line}\n`)

const variants: Variant[] = []
const results: Partial<Record<RowName, Partial<Record<VariantName, { cpu: Spread; ratio: Spread }>>>> = {}
try {
  // One after the other, so that each one finds its own process.
  for (const name of compared) variants.push(await Variant.start(name))
  for (const name of names) {
    const row: Row = ROWS[name]
    const ready = []
    for (const variant of variants) ready.push({ name: variant.name, ...(await row.prepare(variant)) })
    const samples = new Map<VariantName, Sample[]>(ready.map(({ name }) => [name, []]))
    for (let round = 0; round <= rounds; round++) {
      await row.rest?.()
      for (let n = 0; n < ready.length; n++) {
        const { name, measure } = ready[(n + round) % ready.length]!
        const measured = await measure()
        if (round > 0) samples.get(name)!.push(measured)
      }
    }
    for (const { end } of ready) end()
    const reference = samples.get(compared[0]!)!
    results[name] = Object.fromEntries(
      [...samples].map(([name, of]) => [
        name,
        { cpu: spread(of.map(({ cpu }) => cpu)), ratio: spread(of.map(({ cpu }, round) => cpu / reference[round]!.cpu)) },
      ]),
    )
    say(`measured ${name}`)
  }
} finally {
  await Promise.all(variants.map((variant) => variant.stop()))
}
const cell = ({ cpu, ratio }: { cpu: Spread; ratio: Spread }): string =>
  `${rough(cpu.median)} µs, **${ratio.median.toFixed(2)}** (${ratio.min.toFixed(2)}–${ratio.max.toFixed(2)})`
const lines = names.map((name) => [`${ROWS[name].title}: per ${ROWS[name].unit}`, ...compared.map((variant) => cell(results[name]![variant]!))])
say(table(['', ...compared], lines))
if (values.json) process.stdout.write(`${JSON.stringify(results)}\n`)
process.exit(0)
