// Installs the tools and packages that the other scripts need. Fast if everything is installed.

import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

import { endChildrenWithScript } from './children.mjs'
import { elapsedSince, pinnedTools, root, run, toolsFolder, wasmTarget } from './toolchain.mjs'

/** The compiled dependencies of the tools, which share most of them. */
const toolsTarget = join(toolsFolder, 'target')

/** Without optimizations, the tools compile in half the time. They need half a second more for a Worker. */
const TOOL_PROFILE = { CARGO_PROFILE_RELEASE_OPT_LEVEL: '0', CARGO_PROFILE_RELEASE_DEBUG: '0' }

/** The interval of progress messages during a long step, in milliseconds. */
const PROGRESS_INTERVAL = 10_000

/** @throws {Error} If something is missing; the message says what, and how to install it. */
export async function setup() {
  await requireRust()
  await installNodePackages()
  for (const tool of pinnedTools()) await installTool(tool)
  rmSync(toolsTarget, { recursive: true, force: true })
}

export async function requireRust() {
  const rustup = await run('rustup', ['target', 'list', '--installed'], { quiet: true })
  const cargo = await run('cargo', ['--version'], { quiet: true })
  if (cargo.status === 127) {
    throw new Error('Rust is missing: install it from https://rustup.rs, then run the command again')
  }
  if (rustup.status === 127) {
    await requireWasmLibrary()
  } else if (!rustup.stdout.split(/\s+/).includes(wasmTarget)) {
    await requireSuccess('rustup', ['target', 'add', wasmTarget], `Adding the Rust target ${wasmTarget}`)
  }
}

/** Without rustup, this script cannot add the target, but it may be installed. */
async function requireWasmLibrary() {
  const { stdout } = await run('rustc', ['--print', 'target-libdir', '--target', wasmTarget], { quiet: true })
  if (!existsSync(stdout.trim())) {
    throw new Error(
      `the Rust target ${wasmTarget} is missing: install it with the package manager of your system, or install Rust from ` +
        'https://rustup.rs',
    )
  }
}

async function installNodePackages() {
  const lock = createHash('sha256').update(readFileSync(join(root, 'package-lock.json'))).digest('hex')
  const stamp = join(root, 'node_modules', '.installed-from')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lock) return
  // Shows only errors: npm would warn that some packages need a newer Node.js than the current one. They run with the Node.js
  // of the package `node`, which is installed too.
  await requireSuccess('npm', ['ci', '--loglevel=error'], 'Installing the npm packages')
  writeFileSync(stamp, lock)
}

async function installTool({ crate, version }) {
  const stamp = join(toolsFolder, `${crate}.version`)
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === version) return
  mkdirSync(toolsFolder, { recursive: true })
  // cargo itself checks whether this version is installed. Without `--locked`, since a locked dependency may have been yanked,
  // and the build would fail.
  await requireSuccess(
    'cargo',
    ['install', '--root', toolsFolder, `${crate}@${version}`],
    `Building ${crate} ${version} (once, a few minutes)`,
    { ...TOOL_PROFILE, CARGO_TARGET_DIR: toolsTarget },
  )
  writeFileSync(stamp, version)
}

async function requireSuccess(command, args, title, environment = {}) {
  console.log(`${title} …`)
  const startedAt = Date.now()
  const progress = setInterval(() => console.log(`  … ${elapsedSince(startedAt)}`), PROGRESS_INTERVAL)
  // The user's environment: the tools are not installed yet.
  const { status, output } = await run(command, args, { quiet: true, env: { ...process.env, ...environment } })
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
