// Measures costs and compares them with other libraries and a baseline: `npm run bench [-- --quick] [--json] [--only
// ping_1,wake] [--variants ours,peer] [--rounds 7] [--report]`. With `--json`, standard output is one JSON object; all other
// output goes to standard error. `--report` writes the tables and the chart of docs/performance.md.

//
// `npm run bench -- clients [--quick] [--only storm,latency,sizes] [--clients 5000] [--rounds 3] [--report]` measures clients.

import { runBuilt } from './run-built.mjs'

const args = process.argv.slice(2)
process.exitCode =
  args[0] === 'clients'
    ? await runBuilt('bench/clients/main.ts', ['bench/worker'], args.slice(1))
    : await runBuilt('bench/main.ts', ['bench/worker', 'npm/durable-event-iterator/core', '.'], args)
