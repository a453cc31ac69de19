// Packs the crates as `cargo publish` does, and builds the Worker in `tests/outside/` with the packed crates:
// `node scripts/package.mjs`.

import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

import { endChildrenWithScript } from './children.mjs'
import { setup } from './setup.mjs'
import { root, run, toolEnvironment, wasmTarget, workspace } from './toolchain.mjs'

/** The unpacked crates, each in the folder of its name. */
const packed = join(root, 'target', 'packed')

const outside = join(root, 'tests', 'outside')

/**
 * Packs and unpacks every published crate, and builds the unpacked ones for this machine.
 *
 * @throws {Error} A crate cannot be packed or does not compile. The output of cargo is on the screen then.
 */
export async function packCrates() {
  const { packages, targetFolder } = await workspace()
  const crates = packages.filter(({ isPublished }) => isPublished)
  const selection = crates.flatMap(({ name }) => ['--package', name])
  // cargo's own verification would not see that a crate has changed since the last run: it compiles the packed dependencies
  // from a registry, whose crates never change.
  await requireSuccess('cargo', ['package', '--locked', '--offline', '--allow-dirty', '--no-verify', ...selection])
  for (const { name, version } of crates) await unpack(join(targetFolder, 'package', `${name}-${version}.crate`), name)
  await buildPacked(crates.map(({ name }) => name))
}

/** Unpacks a crate, unless it has not changed since it was unpacked. */
async function unpack(file, name) {
  const folder = join(packed, name)
  const stamp = `${folder}.unpacked`
  const content = createHash('sha256').update(readFileSync(file)).digest('hex')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === content) return
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  // With the current time (`-m`): all files of an archive have the same one, and cargo detects changes by it.
  await requireSuccess('tar', ['-xmzf', file, '-C', folder, '--strip-components', '1'])
  writeFileSync(stamp, content)
}

/** Builds the unpacked crates, with each other as dependencies. */
async function buildPacked(names) {
  const members = names.map((name) => JSON.stringify(name)).join(', ')
  const patches = names.map((name) => `${name} = { path = "${name}" }\n`).join('')
  writeFileSync(join(packed, 'Cargo.toml'), `[workspace]\nmembers = [${members}]\nresolver = "3"\n\n[patch.crates-io]\n${patches}`)
  // The versions that everything else is tested with.
  writeFileSync(join(packed, 'Cargo.lock'), readFileSync(join(root, 'Cargo.lock')))
  await requireSuccess('cargo', ['build', '--offline', '--workspace', '--lib'], { cwd: packed, env: environment() })
}

/**
 * Builds the Worker in `tests/outside/` as its developer would, with `worker-build --release`.
 *
 * @throws {Error} It does not compile, or its Cargo.lock is out of date.
 */
export async function buildOutside() {
  const metadata = ['metadata', '--locked', '--filter-platform', wasmTarget, '--format-version', '1']
  const { status, output } = await run('cargo', metadata, { cwd: outside, quiet: true })
  if (status !== 0) {
    const advice = 'tests/outside/Cargo.lock is out of date: copy Cargo.lock to it, and run `cargo metadata` in that folder'
    throw new Error(`${output}\n${advice}`)
  }
  await requireSuccess('worker-build', ['--release'], { cwd: outside, env: environment() })
}

/** Compiled dependencies are shared with the workspace. Its flags in `.cargo/config.toml` are not part of the crates. */
function environment() {
  return { ...toolEnvironment(), CARGO_TARGET_DIR: join(root, 'target'), RUSTFLAGS: '' }
}

async function requireSuccess(command, args, options) {
  const { status } = await run(command, args, options)
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} failed`)
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  endChildrenWithScript()
  try {
    await setup()
    await packCrates()
    await buildOutside()
  } catch (error) {
    console.error(error.message)
    process.exitCode = 1
  }
}
