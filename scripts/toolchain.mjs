// What the commands of this repository run with, and where it comes from. Every script here also runs on a fresh
// clone, under the node that is installed, so this uses node's own modules only.

import { readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { spawnChild } from './children.mjs'

/** The folder of the repository. */
export const root = fileURLToPath(new URL('..', import.meta.url))

/** Tools built from source with cargo, for this repository alone. */
export const toolsFolder = join(root, '.tools')

/** The target that Workers are compiled to. */
export const wasmTarget = 'wasm32-unknown-unknown'

/** The tools that cargo builds into `toolsFolder`, with the crate that each comes from. */
export function pinnedTools() {
  return [
    { crate: 'worker-build', version: '0.8.7' },
    // Its output fits only the very version of the library that the Workers are linked with.
    { crate: 'wasm-bindgen-cli', version: lockedVersion('wasm-bindgen') },
  ]
}

/**
 * The environment for everything after setup: the newer node of `node_modules` comes first (wrangler and vitest need
 * more than many systems have), and worker-build finds its tools here instead of downloading them.
 */
export function toolEnvironment() {
  return {
    ...process.env,
    PATH: [join(root, 'node_modules', '.bin'), join(toolsFolder, 'bin'), process.env.PATH].join(delimiter),
    WASM_BINDGEN_BIN: join(toolsFolder, 'bin', 'wasm-bindgen'),
    WASM_OPT_BIN: join(root, 'node_modules', 'binaryen', 'bin', 'wasm-opt'),
    ESBUILD_BIN: join(root, 'node_modules', 'esbuild', 'bin', 'esbuild'),
    // Nothing here needs an account, and nothing is reported or looked up while developing and testing.
    WRANGLER_SEND_METRICS: 'false',
    CLOUDFLARE_CF_FETCH_ENABLED: 'false',
    ...(process.stdout.isTTY ? { CARGO_TERM_COLOR: 'always', FORCE_COLOR: '1' } : {}),
  }
}

/**
 * Runs a command in the repository's folder. Its output is shown as it comes unless `quiet`, and returned.
 *
 * @param {string} command
 * @param {string[]} args
 * @param {{ cwd?: string, env?: Record<string, string | undefined>, quiet?: boolean }} [options]
 * @returns {Promise<{ status: number, output: string, stdout: string }>} `status` is 127 when there is no such command
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
    // A command ended by a signal has no status of its own.
    child.on('close', (status) => resolve({ status: status ?? 1, output, stdout }))
  })
}

/** The workspace's packages, each with its folder, and where cargo puts what it builds. */
export async function workspace() {
  const { status, stdout, output } = await run('cargo', ['metadata', '--no-deps', '--format-version', '1'], {
    quiet: true,
  })
  if (status !== 0) throw new Error(`cargo cannot read the workspace:\n${output}`)
  const { packages, target_directory: targetFolder } = JSON.parse(stdout)
  return { targetFolder, packages: packages.map(describePackage) }
}

/** Whole seconds, for people. */
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
    /** The name of the wasm module when the package is a Worker, which is compiled for no other target. */
    wasmModule: library && `${library.name.replaceAll('-', '_')}.wasm`,
  }
}

function lockedVersion(crate) {
  const lock = readFileSync(join(root, 'Cargo.lock'), 'utf8')
  const version = new RegExp(`^name = "${crate}"\\r?\\nversion = "([^"]+)"`, 'm').exec(lock)?.[1]
  if (version === undefined) throw new Error(`Cargo.lock has no ${crate}`)
  return version
}
