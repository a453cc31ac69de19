// Runs a program of this repository on Workers that are built first.

import { join } from 'node:path'

import { endChildrenWithScript, spawnChild } from './children.mjs'
import { root, toolEnvironment } from './toolchain.mjs'

/**
 * @param {string} program a TypeScript file
 * @param {string[]} workers folders of Workers
 * @param {string[]} args the program's; with `--json` among them, nothing but its own output goes to standard output
 * @returns {Promise<number>} its status
 */
export async function runBuilt(program, workers, args) {
  endChildrenWithScript()
  // Standard error is file descriptor 2.
  const built = await node('scripts/build.mjs', workers, args.includes('--json') ? 2 : 'inherit')
  return built === 0 ? node(program, args, 'inherit') : built
}

/** @returns {Promise<number>} its status */
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
