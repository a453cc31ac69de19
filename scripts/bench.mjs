// Measures costs and compares them with other libraries and a baseline: `npm run bench [-- --quick] [--json] [--only
// ping_1,wake] [--variants ours,peer] [--rounds 7] [--report]`. With `--json`, standard output is one JSON object; all other
// output goes to standard error. `--report` writes the tables and the chart of docs/performance.md.

//
// `npm run bench -- http [--rounds 7] [--only sse,sse_burst,poll,page]` measures reading over HTTP.
//
// `npm run bench -- presence [--members 10000] [--rate 1000] [--rounds 1] [--quick] [--report]` measures 10,000 members.
//
// `npm run bench -- batches [--rounds 7] [--quick] [--report]` compares batches with single publishes.
//
// `npm run bench -- features [--rounds 7] [--before <checkout>] [--only publish_stub,…]` compares rows with and without presence
// and metrics, and with `bench/worker` as an earlier commit has built it.
//
// `npm run bench -- clients [--quick] [--only storm,latency,sizes] [--clients 5000] [--rounds 3] [--report]` measures clients.
//
// `npm run bench -- readers [--quick] [--only live,replay] [--report]` measures readers that stop reading.

import { runBuilt } from './run-built.mjs'

const args = process.argv.slice(2)
const programs = {
  batches: 'bench/batches/main.ts',
  clients: 'bench/clients/main.ts',
  features: 'bench/features/main.ts',
  http: 'bench/http/main.ts',
  presence: 'bench/presence/main.ts',
  readers: 'bench/readers/main.ts',
}
const program = programs[args[0]]
process.exitCode =
  program !== undefined
    ? await runBuilt(program, ['bench/worker', 'npm/durable-event-iterator/core'], args.slice(1))
    : await runBuilt('bench/main.ts', ['bench/worker', 'npm/durable-event-iterator/core', '.'], args)
