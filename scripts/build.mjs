// Builds Workers: `node scripts/build.mjs [folder …]`, with folders relative to the root of the repository. Without a folder,
// it builds all Workers of the workspace. The output is in `build/` of each folder, ready for wrangler.

import { createHash } from 'node:crypto'
import { copyFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

import { endChildrenWithScript } from './children.mjs'
import { setup } from './setup.mjs'
import { elapsedSince, pinnedTools, root, run, toolEnvironment, wasmTarget, workspace } from './toolchain.mjs'

/** Returns the Workers of the workspace: the packages with a cdylib target. */
export async function workers() {
  const { packages, targetFolder } = await workspace()
  return packages
    .filter(({ wasmModule }) => wasmModule !== undefined)
    .map(({ name, folder, wasmModule }) => ({
      name,
      folder,
      title: relative(root, folder) || '.',
      wasm: join(targetFolder, wasmTarget, 'release', wasmModule),
    }))
}

/** @throws {Error} If a Worker does not compile. The compiler has printed its errors. */
export async function buildWorkers(wanted) {
  // The same environment and arguments as in worker-build, whose own calls of cargo then have nothing to compile.
  const environment = { ...toolEnvironment(), WASM_BINDGEN_USE_JS_SYS: '1', [FLAGS_VARIABLE]: withoutMachinePaths() }
  // By one call, since the last step of each Worker, the optimization of the whole program, uses one core.
  const packages = wanted.flatMap(({ name }) => ['--package', name])
  const titles = wanted.map(({ title }) => title).join(', ')
  await requireSuccess('cargo', ['build', ...packages, '--lib', '--release', '--target', wasmTarget], { env: environment }, titles)
  // Two at once: the tools of this step use one core.
  const left = [...wanted]
  const finish = async () => {
    for (let worker; (worker = left.shift()) !== undefined; ) await finishWorker(worker, environment)
  }
  await Promise.all([finish(), finish()])
}

/** Makes `build/` of a Worker from its compiled module. */
async function finishWorker({ folder, title, wasm }, environment) {
  const startedAt = Date.now()
  const stamp = join(folder, 'build', '.built-from')
  const source = fingerprint(wasm)
  const current = existsSync(stamp) && readFileSync(stamp, 'utf8') === source
  if (!current) {
    await requireSuccess('worker-build', ['--release'], { cwd: folder, env: environment }, title)
    await shrink(join(folder, 'build', 'index_bg.wasm'), title)
    writeFileSync(stamp, source)
  }
  if (existsSync(join(folder, 'web'))) await buildPage(folder, title)
  console.log(`Worker ${title}: ${current ? 'unchanged' : 'built'} (${elapsedSince(startedAt)})`)
}

/** Flags of rustc, in addition to those of `.cargo/config.toml`. */
const FLAGS_VARIABLE = 'CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS'

/**
 * Returns the flags that keep the path of cargo's home folder out of the compiled module, which is published: the places of
 * panics in dependencies contain it.
 */
function withoutMachinePaths() {
  const home = process.env.CARGO_HOME ?? join(homedir(), '.cargo')
  const added = `--remap-path-prefix=${home}=/cargo`
  // cargo splits the variable at spaces.
  return [process.env[FLAGS_VARIABLE], /\s/.test(home) ? undefined : added].filter((flags) => flags !== undefined).join(' ')
}

/**
 * Removes the function names from a module: a sixth of its compressed size. Cargo's `strip` cannot do this, since it would also
 * remove the section from which wasm-bindgen reads the target features.
 */
async function shrink(wasm, title) {
  const features = WASM_FEATURES.map((feature) => `--enable-${feature}`)
  await requireSuccess('wasm-opt', [wasm, '-Os', '--strip-debug', ...features, '-o', wasm], { env: toolEnvironment() }, title)
}

/** The features that worker-build allows: those that rustc emits, and exceptions for wasm-bindgen's `catch`. */
const WASM_FEATURES = [
  'mutable-globals',
  'sign-ext',
  'nontrapping-float-to-int',
  'bulk-memory',
  'multivalue',
  'reference-types',
  'exception-handling',
]

/** Builds the page of a Worker from `web/` into `dist/`, which wrangler serves. */
async function buildPage(folder, title) {
  const [web, dist] = [join(folder, 'web'), join(folder, 'dist')]
  rmSync(dist, { recursive: true, force: true })
  const bundle = ['--bundle', '--minify', '--format=esm', '--target=es2022', '--log-level=warning', `--outdir=${dist}`]
  const entries = ['main.ts', 'style.css'].map((file) => join(web, file))
  await requireSuccess('esbuild', [...entries, ...bundle], { env: toolEnvironment() }, title)
  copyFileSync(join(web, 'index.html'), join(dist, 'index.html'))
}

/** Returns a hash of the inputs of `build/`: the compiled module, and the tools that process it. */
function fingerprint(wasm) {
  const hash = createHash('sha256').update(readFileSync(wasm)).update(JSON.stringify([pinnedTools(), WASM_FEATURES]))
  hash.update(readFileSync(join(root, 'package-lock.json')))
  return hash.digest('hex')
}

async function requireSuccess(command, args, options, title) {
  const { status } = await run(command, args, options)
  if (status !== 0) throw new Error(`Worker ${title} was not built: ${command} ${args.join(' ')} failed`)
}

async function main(folders) {
  await setup()
  const known = await workers()
  const wanted = folders.map((folder) => {
    const worker = known.find((candidate) => candidate.folder === resolve(root, folder))
    if (worker === undefined) {
      throw new Error(`${folder} is not a Worker of this workspace; expected one of ${known.map(({ title }) => title).join(', ')}`)
    }
    return worker
  })
  await buildWorkers(wanted.length > 0 ? wanted : known)
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  endChildrenWithScript()
  try {
    await main(process.argv.slice(2))
  } catch (error) {
    console.error(error.message)
    process.exitCode = 1
  }
}
