// Brings a clone into the state that the other scripts need. Quick when nothing is to do.

import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

import { endChildrenWithScript } from './children.mjs'
import { elapsedSince, pinnedTools, root, run, toolsFolder, wasmTarget } from './toolchain.mjs'

/** How often a long step says that it is still at work, in milliseconds: often enough not to look stuck. */
const PROGRESS_INTERVAL = 10_000

/** @throws {Error} with a sentence for the user that says what is missing and how to get it */
export async function setup() {
  await requireRust()
  await installNodePackages()
  for (const tool of pinnedTools()) await installTool(tool)
}

export async function requireRust() {
  const rustup = await run('rustup', ['target', 'list', '--installed'], { quiet: true })
  const cargo = await run('cargo', ['--version'], { quiet: true })
  if (cargo.status === 127) {
    throw new Error('Rust is missing: install it from https://rustup.rs, then run this again.')
  }
  if (rustup.status === 127) {
    await requireWasmLibrary()
  } else if (!rustup.stdout.split(/\s+/).includes(wasmTarget)) {
    await requireSuccess('rustup', ['target', 'add', wasmTarget], `Adding the Rust target ${wasmTarget}`)
  }
}

/** A Rust that did not come from rustup cannot be given a target here, but may have it. */
async function requireWasmLibrary() {
  const { stdout } = await run('rustc', ['--print', 'target-libdir', '--target', wasmTarget], { quiet: true })
  if (!existsSync(stdout.trim())) {
    throw new Error(
      `This Rust cannot compile to ${wasmTarget}: install that target with your system's packages, or use ` +
        'https://rustup.rs instead.',
    )
  }
}

async function installNodePackages() {
  const lock = createHash('sha256').update(readFileSync(join(root, 'package-lock.json'))).digest('hex')
  const stamp = join(root, 'node_modules', '.installed-from')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lock) return
  // Only errors are shown: npm would warn that some packages need a newer node than the one running now. They get it
  // from the package `node`, which is among them.
  await requireSuccess('npm', ['ci', '--loglevel=error'], 'Installing the npm packages')
  writeFileSync(stamp, lock)
}

async function installTool({ crate, version }) {
  const stamp = join(toolsFolder, `${crate}.version`)
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === version) return
  mkdirSync(toolsFolder, { recursive: true })
  // cargo itself sees when this version is already there. Without `--locked`: a dependency that its authors locked can
  // have been withdrawn since, and then nothing would build.
  await requireSuccess(
    'cargo',
    ['install', '--root', toolsFolder, `${crate}@${version}`],
    `Building ${crate} ${version} (once, a few minutes)`,
  )
  writeFileSync(stamp, version)
}

async function requireSuccess(command, args, title) {
  console.log(`${title} …`)
  const startedAt = Date.now()
  const progress = setInterval(() => console.log(`  … ${elapsedSince(startedAt)}`), PROGRESS_INTERVAL)
  // The user's own environment: what this sets up is not there yet.
  const { status, output } = await run(command, args, { quiet: true, env: process.env })
  clearInterval(progress)
  if (status !== 0) throw new Error(`${output}\n\n${title} failed: ${command} ${args.join(' ')}`)
  console.log(`  done in ${elapsedSince(startedAt)}`)
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  endChildrenWithScript()
  try {
    await setup()
  } catch (error) {
    console.error(error.message)
    process.exitCode = 1
  }
}
