// `npm run soak`: a long run, which can be repeated with its seed.

import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'

import '../support/sources.ts'

const { values } = parseArgs({
  options: {
    /** Replaces the classes in Rust by classes in TypeScript: `DurableEventIteratorObject` or `DurableIteratorObject`. */
    class: { type: 'string' },
    /** A file for the recorded history. */
    history: { type: 'string' },
    json: { type: 'boolean', default: false },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    events: { type: 'string', default: '10000' },
    clients: { type: 'string', default: '100' },
    seconds: { type: 'string', default: '75' },
  },
})

if (values.class !== undefined) process.env['IMPLEMENTATION'] = values.class
const { failures, soak } = await import('./run.ts')

function number(name: 'seed' | 'events' | 'clients' | 'seconds', least: number): number {
  const value = Number(values[name])
  if (!Number.isSafeInteger(value) || value < least) {
    console.error(`--${name} must be an integer of at least ${least}, got ${values[name]}`)
    process.exit(2)
  }
  return value
}

const options = {
  seed: number('seed', 0),
  events: number('events', 1),
  clients: number('clients', 5),
  seconds: number('seconds', 1),
}
if (!values.json) console.log(`Seed ${options.seed}`)
const startedAt = Date.now()
const result = await soak({ ...options, onProgress: (line) => values.json || console.log(line) })
if (values.history !== undefined) writeFileSync(values.history, JSON.stringify(result.history))

const figures = {
  seed: result.seed,
  events: result.events,
  clients: result.clients,
  faults: result.faults,
  deliveries: result.deliveries,
  lost: result.lost,
  duplicated: result.duplicated,
  reordered: result.reordered,
  leaked: result.leaked,
  invented: result.invented,
  misbehaved: result.misbehaved,
  torn: result.torn,
  gaps_told: result.gapsTold,
  gaps_missed: result.gapsMissed,
  gaps_false: result.gapsFalse,
  presence_events: result.presenceEvents,
  states_set: result.statesSet,
  ghosts: result.ghosts,
  members_missed: result.membersMissed,
  members_wrong: result.membersWrong,
  convergence_ms: result.convergence,
}
if (values.json) {
  console.log(JSON.stringify(figures))
} else {
  for (const [name, figure] of Object.entries(figures)) console.log(`${name.padEnd(15)} ${figure}`)
  const kinds = Object.entries(result.faultsByKind).map(([kind, count]) => `${kind} ${count}`)
  console.log(`\nFaults: ${kinds.join(', ')}\nTransports of clients with a fallback: ${JSON.stringify(result.transports)}; subscriptions parked: ${result.parked}\nPublishes rejected: ${result.rejected}; without a response: ${result.unanswered}, of which ${result.seen} were stored\nTime: ${Math.round((Date.now() - startedAt) / 1000)} s`)
}
if (result.violations.length > 0) {
  // On standard error, since standard output may be JSON.
  for (const line of failures(result)) console.error(line)
  process.exitCode = 1
}
