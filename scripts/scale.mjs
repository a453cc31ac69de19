// Opens very many sockets on one Durable Object: `npm run scale [-- --sockets 10000 --inside 0 --deflate --json]`. `--inside`
// is the number of sockets that are opened from within the runtime, when the process has too few file descriptors.

import { runBuilt } from './run-built.mjs'

process.exitCode = await runBuilt('tests/scale/main.ts', ['tests/worker'], process.argv.slice(2))
