// Very many sockets on one object: `npm run scale [-- --sockets 10000 --inside 0 --deflate --json]`. Those for which the process
// has no file descriptors come from within the runtime; `--inside` says how many do.

import { runBuilt } from './run-built.mjs'

process.exitCode = await runBuilt('tests/scale/main.ts', ['tests/worker'], process.argv.slice(2))
