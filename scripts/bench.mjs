// Measures costs and compares them with other libraries and a baseline: `npm run bench [-- --quick] [--json] [--only
// ping_1,wake] [--variants ours,peer] [--rounds 7] [--report]`. With `--json`, standard output is one JSON object; all other
// output goes to standard error. `--report` writes the tables and the chart of docs/performance.md.

import { runBuilt } from './run-built.mjs'

process.exitCode = await runBuilt('bench/main.ts', ['bench/worker', 'npm/durable-event-iterator/core', '.'], process.argv.slice(2))
