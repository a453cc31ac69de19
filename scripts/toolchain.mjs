// The tools of this repository, and how commands are run with them. All scripts also run in a fresh clone with the installed
// Node.js, so this module imports only modules of Node.js.

import { readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { spawnChild } from './children.mjs'

/** The folder of the repository. */
export const root = fileURLToPath(new URL('..', import.meta.url))

/** The tools that cargo builds from source, only for this repository. */
export const toolsFolder = join(root, '.tools')

/** The target that Workers are compiled to. */
export const wasmTarget = 'wasm32-unknown-unknown'

/** The tools that cargo builds into `toolsFolder`, with the crate that each comes from. */
export function pinnedTools() {
  return [
    { crate: 'worker-build', version: '0.8.7' },
    // Its output works only with the same version of the library, with which the Workers are linked.
    { crate: 'wasm-bindgen-cli', version: lockedVersion('wasm-bindgen') },
  ]
}

/**
 * Returns the environment for commands after setup. The Node.js of `node_modules` comes first in `PATH`, since wrangler and
 * vitest need a newer one than many systems have. worker-build finds its tools here instead of downloading them.
 */
export function toolEnvironment() {
  return {
    ...process.env,
    PATH: [join(root, 'node_modules', '.bin'), join(toolsFolder, 'bin'), process.env.PATH].join(delimiter),
    WASM_BINDGEN_BIN: join(toolsFolder, 'bin', 'wasm-bindgen'),
    WASM_OPT_BIN: join(root, 'node_modules', 'binaryen', 'bin', 'wasm-opt'),
    ESBUILD_BIN: join(root, 'node_modules', 'esbuild', 'bin', 'esbuild'),
    // Development and tests need no account, send no metrics and look nothing up.
    WRANGLER_SEND_METRICS: 'false',
    CLOUDFLARE_CF_FETCH_ENABLED: 'false',
    ...(process.stdout.isTTY ? { CARGO_TERM_COLOR: 'always', FORCE_COLOR: '1' } : {}),
  }
}

/**
 * Runs a command in the folder of the repository. Returns its output, and also prints it unless `quiet`.
 *
 * @param {string} command
 * @param {string[]} args
 * @param {{ cwd?: string, env?: Record<string, string | undefined>, quiet?: boolean }} [options]
 * @returns {Promise<{ status: number, output: string, stdout: string }>} `status` is 127 if the command does not exist
 */
export function run(command, args, { cwd = root, env = toolEnvironment(), quiet = false } = {}) {
  return new Promise((resolve) => {
    const child = spawnChild(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    let stdout = ''
    child.stdout.setEncoding('utf8').on('data', (text) => {
      output += text
      stdout += text
      if (!quiet) process.stdout.write(text)
    })
    child.stderr.setEncoding('utf8').on('data', (text) => {
      output += text
      if (!quiet) process.stderr.write(text)
    })
    child.on('error', (error) => resolve({ status: 127, output: output + error.message, stdout }))
    // A command that was ended by a signal has no status.
    child.on('close', (status) => resolve({ status: status ?? 1, output, stdout }))
  })
}

/** Returns the packages of the workspace with their folders, and the target folder of cargo. */
export async function workspace() {
  const { status, stdout, output } = await run('cargo', ['metadata', '--no-deps', '--format-version', '1'], {
    quiet: true,
  })
  if (status !== 0) throw new Error(`cargo cannot read the workspace:\n${output}`)
  const { packages, target_directory: targetFolder } = JSON.parse(stdout)
  return { targetFolder, packages: packages.map(describePackage) }
}

/** Returns the elapsed time as text, in whole seconds. */
export function elapsedSince(startedAt) {
  const seconds = Math.round((Date.now() - startedAt) / 1000)
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`
}

function describePackage({ name, version, rust_version: rustVersion, publish, manifest_path: manifest, targets }) {
  const library = targets.find(({ kind }) => kind.includes('cdylib'))
  return {
    name,
    version,
    /** The oldest Rust that compiles it. */
    rustVersion,
    /** Whether it may go to a registry: cargo describes `publish = false` by an empty list of registries. */
    isPublished: publish === null,
    folder: join(manifest, '..'),
    /** The file name of the wasm module, if the package is a Worker. Workers compile only to WebAssembly. */
    wasmModule: library && `${library.name.replaceAll('-', '_')}.wasm`,
  }
}

function lockedVersion(crate) {
  const lock = readFileSync(join(root, 'Cargo.lock'), 'utf8')
  const version = new RegExp(`^name = "${crate}"\\r?\\nversion = "([^"]+)"`, 'm').exec(lock)?.[1]
  if (version === undefined) throw new Error(`Cargo.lock does not contain ${crate}`)
  return version
}
