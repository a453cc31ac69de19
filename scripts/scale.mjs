// Very many sockets on one object: `npm run scale [-- --sockets 10000 --json]`. Each takes two file descriptors, one at
// either end: `ulimit -n` must allow them.

import { runBuilt } from './run-built.mjs'

process.exitCode = await runBuilt('tests/scale/main.ts', ['tests/worker'], process.argv.slice(2))
