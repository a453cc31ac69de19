// Very many sockets on one object: `npm run scale [-- --sockets 10000 --deflate --json]`. Each takes two file descriptors of
// the runtime's: where `ulimit -n` is below twice their number and some hundreds, connections are refused in the middle.

import { runBuilt } from './run-built.mjs'

process.exitCode = await runBuilt('tests/scale/main.ts', ['tests/worker'], process.argv.slice(2))
