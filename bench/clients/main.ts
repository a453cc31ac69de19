// `npm run bench -- clients [--quick] [--only storm,latency,sizes] [--clients 5000] [--processes 2] [--rounds 3] [--report]
// [--json] [--before <folder>]`

import { parseArgs } from 'node:util'

import '../../tests/support/sources.ts'
import { currentSetting } from '../document.ts'
import type { ScenarioName, Storm } from './storm.ts'

const { largestShareAllowed, linesOf, PARTS, saveParts } = await import('./report.ts')
const { latencies } = await import('./latency.ts')
const { STABLE_AFTER } = await import('./kinds.ts')
const { sizes, sizesBefore } = await import('./sizes.ts')
const { SCENARIO_NAMES, storm } = await import('./storm.ts')
type Part = (typeof PARTS)[number]

const { values } = parseArgs({
  options: {
    /** Fewer clients and fewer runs: under a minute. */
    quick: { type: 'boolean', default: false },
    only: { type: 'string', default: PARTS.join(',') },
    /** The number of clients that a restart disconnects, the number of their processes, and the number of restarts. */
    clients: { type: 'string' },
    processes: { type: 'string', default: '2' },
    rounds: { type: 'string' },
    /** Writes the measured tables into the documentation. */
    report: { type: 'boolean', default: false },
    /** Standard output is one JSON object; all other output goes to standard error. */
    json: { type: 'boolean', default: false },
    /** A checkout whose entry point `/client` is the link plugin, to measure its size. */
    before: { type: 'string' },
  },
})

function integer(name: 'clients' | 'processes' | 'rounds', fallback: number): number {
  const value = values[name] === undefined ? fallback : Number(values[name])
  if (Number.isSafeInteger(value) && value > 0) return value
  console.error(`--${name} must be an integer of at least 1, got ${values[name]}`)
  process.exit(2)
}

const isQuick = values.quick
const clients = integer('clients', isQuick ? 200 : 5_000)
const processes = integer('processes', 2)
const rounds = integer('rounds', isQuick ? 1 : 3)
const wanted = values.only.split(',') as Part[]
const unknown = wanted.find((part) => !PARTS.includes(part))
if (unknown !== undefined) {
  console.error(`--only must list some of ${PARTS.join(', ')}, got ${unknown}`)
  process.exit(2)
}
const say = (line: string): void => {
  const stream = values.json ? process.stderr : process.stdout
  stream.write(`${line}\n`)
}

async function storms(): Promise<Record<ScenarioName, Storm[]>> {
  const measured = Object.fromEntries(SCENARIO_NAMES.map((name) => [name, [] as Storm[]])) as Record<ScenarioName, Storm[]>
  for (let round = 0; round < rounds; round++) {
    for (const name of SCENARIO_NAMES) {
      const result = await storm(name, { clients, processes, openFor: STABLE_AFTER })
      measured[name].push(result)
      const { recovered, recovery, peakShare } = result
      say(
        `restart ${round + 1}, ${name}: ${recovered} of ${result.clients} clients recovered, the last one after ` +
          `${Math.round(recovery.max)} ms; at most ${(100 * peakShare).toFixed(1)} % reconnected within one second`,
      )
    }
  }
  return measured
}

const setting = currentSetting()
const measured: Parameters<typeof saveParts>[0] = {}
if (wanted.includes('sizes')) {
  measured.sizes = {
    setting,
    now: await sizes(),
    ...(values.before === undefined ? {} : { before: await sizesBefore(values.before) }),
  }
}
if (wanted.includes('latency')) {
  const options = isQuick ? { starts: 50, losses: 1, clients: 20 } : { starts: 500, losses: 15, clients: 20 }
  measured.latency = { setting, ...(await latencies(['subscribe', 'linkV1', 'stock'], options)) }
}
if (wanted.includes('storm')) measured.storm = { setting, rounds: await storms() }

for (const line of linesOf(measured)) say(line)
if (values.report) saveParts(measured)
if (values.json) process.stdout.write(`${JSON.stringify(measured)}\n`)

/** The number of clients from which on their largest share is not random. */
const MANY_CLIENTS = 1_000

// The guarantees, which do not depend on the machine.
const ours = measured.storm?.rounds.subscribe ?? []
const failures = [
  ...ours.flatMap(({ recovered, lost, repeated, ended }) =>
    recovered < clients || lost + repeated + ended > 0
      ? [`${clients - recovered} clients did not recover, ${lost} events were lost, ${repeated} repeated; ${ended} iterations ended`]
      : [],
  ),
  ...ours.flatMap(({ peakShare }) =>
    clients >= MANY_CLIENTS && peakShare > largestShareAllowed
      ? [`${(100 * peakShare).toFixed(1)} % of the clients reconnected within one second, at most ${100 * largestShareAllowed} % are allowed`]
      : [],
  ),
]
for (const failure of failures) console.error(failure)
process.exit(failures.length > 0 ? 1 : 0)
