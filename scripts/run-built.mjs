// Builds Workers, and runs a program of this repository that uses them.

import { join } from 'node:path'

import { endChildrenWithScript, spawnChild } from './children.mjs'
import { root, toolEnvironment } from './toolchain.mjs'

/**
 * @param {string} program a TypeScript file
 * @param {string[]} workers folders of Workers
 * @param {string[]} args the arguments of the program; with `--json`, standard output contains only the output of the program
 * @returns {Promise<number>} the exit status
 */
export async function runBuilt(program, workers, args) {
  endChildrenWithScript()
  // Standard error is file descriptor 2.
  const built = await node('scripts/build.mjs', workers, args.includes('--json') ? 2 : 'inherit')
  return built === 0 ? node(program, args, 'inherit') : built
}

/** @returns {Promise<number>} the exit status */
function node(file, parameters, stdout) {
  return new Promise((resolve, reject) => {
    const child = spawnChild('node', [join(root, file), ...parameters], {
      cwd: root,
      env: toolEnvironment(),
      stdio: ['ignore', stdout, 'inherit'],
    })
    child.on('error', reject)
    child.on('close', (status) => resolve(status ?? 1))
  })
}
