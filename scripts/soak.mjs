// Looks for what faults can break, for longer than a test may take: `npm run soak [-- --seed 1 --events 10000 --clients 60
// --seconds 75 --json --history <file>]`. With `--json`, one JSON object on standard output; everything else goes to
// standard error. `--history` keeps all that was recorded.

import { spawn } from 'node:child_process'
import { join } from 'node:path'

import { root, toolEnvironment } from './toolchain.mjs'

const args = process.argv.slice(2)

/** @returns {Promise<number>} its status */
function node(file, parameters, stdout) {
  return new Promise((resolve, reject) => {
    const child = spawn('node', [join(root, file), ...parameters], {
      cwd: root,
      env: toolEnvironment(),
      stdio: ['ignore', stdout, 'inherit'],
    })
    child.on('error', reject)
    child.on('close', (status) => resolve(status ?? 1))
  })
}

// What it prints belongs to no result. Standard error is file descriptor 2.
const built = await node('scripts/build.mjs', ['tests/worker', '.'], args.includes('--json') ? 2 : 'inherit')
process.exitCode = built === 0 ? await node('tests/soak/main.ts', args, 'inherit') : built
