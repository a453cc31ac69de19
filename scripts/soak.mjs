// Checks the guarantees under faults, for longer than a test: `npm run soak [-- --seed 1 --events 10000 --clients 100 --seconds
// 75 --class DurableIteratorObject --json --history <file>]`. With `--json`, standard output is one JSON object; all other output goes to standard error.
// `--history` writes the recorded history to a file.

import { runBuilt } from './run-built.mjs'

process.exitCode = await runBuilt('tests/soak/main.ts', ['tests/worker', 'npm/durable-event-iterator/core', '.'], process.argv.slice(2))
