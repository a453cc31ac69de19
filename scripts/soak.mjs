// Looks for what faults can break, for longer than a test may take: `npm run soak [-- --seed 1 --events 10000 --clients 60
// --seconds 75 --json --history <file>]`. With `--json`, one JSON object on standard output; everything else goes to
// standard error. `--history` keeps all that was recorded.

import { runBuilt } from './run-built.mjs'

process.exitCode = await runBuilt('tests/soak/main.ts', ['tests/worker', '.'], process.argv.slice(2))
