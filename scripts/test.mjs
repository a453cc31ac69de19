// Runs all checks and tests: `npm test`. With `--check`, only the checks that need no built Worker.
// The last line is always `N passed, N failed`. It counts each test, and each other step as one.

import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'

import { buildWorkers, workers } from './build.mjs'
import { endChildrenWithScript } from './children.mjs'
import { buildOutside, packCrates } from './package.mjs'
import { setup } from './setup.mjs'
import { elapsedSince, root, run, toolEnvironment, wasmTarget, workspace } from './toolchain.mjs'

/**
 * A step returns the numbers of passed and failed tests. A step without tests counts as one.
 *
 * @typedef {{ passed: number, failed: number }} Count
 * @typedef {{ title: string, needs?: string, run: () => Promise<Count> }} Step
 */

/** The report of vitest. */
const vitestReport = join(root, 'node_modules', '.vitest-report.json')

/** The titles of the steps on which later steps depend. */
const buildTitle = 'Worker builds'
const packTitle = 'Packed crates'
const outsideTitle = 'Worker outside the workspace'

/** @returns {Promise<Step[]>} */
async function steps() {
  const { packages } = await workspace()
  // The crate of a Worker compiles only to WebAssembly.
  const nativePackages = packages.flatMap(({ name, wasmModule }) => (wasmModule === undefined ? ['--package', name] : []))
  // These packages use SQLite, which is compiled only for this machine.
  const nativeOnlyPackages = ['durable-event-test', 'bench-parts', 'fuzz-checks', 'test-parity', 'test-peers']
  const nativeOnly = nativeOnlyPackages.flatMap((name) => ['--exclude', name])
  // Separate from all other packages: cargo would enable the feature for them too, and require a TypeScript type of all inputs.
  const withTypeScript = ['chat-room', 'test-typescript'].flatMap((name) => ['--package', name, '--features', `${name}/typescript`])
  const libraryWithTypeScript = ['--package', 'durable-event-iterator', '--features', 'typescript', '--', 'typescript', 'typed']
  const all = await workers()
  const published = packages.filter(({ isPublished }) => isPublished)

  const checks = [
    { title: 'Format', run: () => succeeds('cargo', ['fmt', '--all', '--check']) },
    {
      title: 'Lints, native',
      run: () => succeeds('cargo', ['clippy', '--locked', ...nativePackages, '--all-targets', '--', '-D', 'warnings']),
    },
    {
      title: 'Lints, TypeScript types',
      run: () => succeeds('cargo', ['clippy', '--locked', ...withTypeScript, '--all-targets', '--', '-D', 'warnings']),
    },
    {
      title: 'Lints, WebAssembly',
      run: () => succeeds('cargo', ['clippy', '--locked', '--workspace', ...nativeOnly, '--target', wasmTarget, '--', '-D', 'warnings']),
    },
    {
      title: 'Documentation, native',
      run: () => {
        const packages = ['--package', 'durable-event-test', '--package', 'durable-event-iterator']
        const features = ['--features', 'durable-event-iterator/typescript']
        return succeeds('cargo', ['doc', '--locked', ...packages, ...features, '--no-deps'], { RUSTDOCFLAGS: '-D warnings' })
      },
    },
    {
      title: 'Documentation, WebAssembly',
      run: () =>
        succeeds('cargo', ['doc', '--locked', '--workspace', ...nativeOnly, '--no-deps', '--target', wasmTarget], {
          RUSTDOCFLAGS: '-D warnings',
        }),
    },
    { title: 'Types', run: () => succeeds('tsc', ['--noEmit']) },
    { title: 'Types with oRPC 2.x', run: () => succeeds('tsc', ['--noEmit', '--project', 'tests/npm/orpc-v2']) },
    { title: 'Types in the runtime', run: () => succeeds('tsc', ['--noEmit', '--project', 'bench/workers']) },
    { title: 'Types of the inspector', run: () => succeeds('tsc', ['--noEmit', '--project', 'crates/durable-event-iterator/src/http/inspector']) },
    { title: 'Types of the TypeScript classes of the tests', run: () => succeeds('tsc', ['--noEmit', '--project', 'tests/worker-typescript']) },
  ]
  if (process.argv.includes('--check')) return checks

  return [
    ...checks,
    { title: 'Rust tests', run: () => cargoTest(nativePackages) },
    { title: 'Generated TypeScript types', run: () => cargoTest(withTypeScript) },
    { title: 'TypeScript types of the library', run: () => cargoTest(libraryWithTypeScript) },
    { title: 'Oldest supported Rust', run: () => checkOldestRust(published, nativeOnlyPackages) },
    { title: packTitle, run: () => completes(packCrates) },
    { title: buildTitle, run: () => completes(() => buildWorkers(all)) },
    { title: outsideTitle, needs: packTitle, run: () => completes(buildOutside) },
    { title: 'Tests on the runtime', needs: buildTitle, run: vitest },
    ...all
      .filter(({ folder }) => existsSync(join(folder, 'wrangler.toml')))
      .map(({ folder, title }) => ({
        title: `Deployment of ${title}, dry run`,
        needs: buildTitle,
        run: () => succeeds('wrangler', ['deploy', '--dry-run', '--config', join(folder, 'wrangler.toml')]),
      })),
  ]
}

/** @returns {Promise<Count>} */
async function succeeds(command, args, environment = {}) {
  const { status } = await run(command, args, { env: { ...toolEnvironment(), ...environment } })
  return status === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 }
}

/** A step that throws if it fails. */
async function completes(work) {
  await work()
  return { passed: 1, failed: 0 }
}

/**
 * Compiles the published crates with the Rust version that they declare as the oldest one, which rustup installs if it is
 * missing.
 *
 * @returns {Promise<Count>}
 */
async function checkOldestRust(published, nativeOnlyPackages) {
  const { rustVersion } = published[0]
  await installToolchain(rustVersion)
  const check = (crates, target) =>
    succeeds('cargo', [
      `+${rustVersion}`, 'check', '--locked', '--lib', ...target, ...crates.flatMap(({ name }) => ['--package', name]),
    ])
  const isNativeOnly = ({ name }) => nativeOnlyPackages.includes(name)
  const wasm = await check(published.filter((crate) => !isNativeOnly(crate)), ['--target', wasmTarget])
  return wasm.failed > 0 ? wasm : check(published.filter(isNativeOnly), [])
}

/** Installs a Rust version with rustup, unless it is installed: rustup would look for updates, which needs a network. */
async function installToolchain(version) {
  const installed = await run('rustup', ['target', 'list', '--installed', '--toolchain', version], { quiet: true })
  if (installed.status === 0 && installed.stdout.split(/\s+/).includes(wasmTarget)) return
  const install = ['toolchain', 'install', version, '--profile', 'minimal', '--target', wasmTarget, '--no-self-update']
  const { status, output } = await run('rustup', install, { quiet: true })
  if (status !== 0) throw new Error(`${output}\nRust ${version} is not installed: rustup ${install.join(' ')} failed`)
}

/** @returns {Promise<Count>} */
async function cargoTest(packages) {
  const { status, stdout } = await run('cargo', ['test', '--locked', '--no-fail-fast', ...packages])
  const count = { passed: 0, failed: 0 }
  for (const [, passed, failed] of stdout.matchAll(/(\d+) passed; (\d+) failed;/g)) {
    count.passed += Number(passed)
    count.failed += Number(failed)
  }
  return withStatus(count, status)
}

/** @returns {Promise<Count>} */
async function vitest() {
  rmSync(vitestReport, { force: true })
  const { status } = await run('vitest', [
    'run',
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${vitestReport}`,
  ])
  const count = { passed: 0, failed: 0 }
  if (existsSync(vitestReport)) {
    const report = JSON.parse(readFileSync(vitestReport, 'utf8'))
    count.passed = report.numPassedTests
    count.failed = report.numFailedTests
  }
  return withStatus(count, status)
}

/**
 * Counts a failed run without a failed test as one failure, such as code that does not compile or an error outside of tests.
 */
function withStatus(count, status) {
  return status !== 0 && count.failed === 0 ? { ...count, failed: 1 } : count
}

/** @returns {Promise<Count>} */
async function runSteps(list) {
  const total = { passed: 0, failed: 0 }
  const failures = []
  for (const [index, { title, needs, run: runStep }] of list.entries()) {
    console.log(`\n── ${index + 1}/${list.length} ${title}`)
    const startedAt = Date.now()
    let count
    if (needs !== undefined && failures.includes(needs)) {
      console.log(`Skipped, because "${needs}" failed.`)
      count = { passed: 0, failed: 1 }
    } else {
      count = await runStep().catch((error) => {
        console.error(error.message)
        return { passed: 0, failed: 1 }
      })
    }
    if (count.failed > 0) failures.push(title)
    console.log(`${count.failed > 0 ? '✗' : '✓'} ${title}: ${elapsedSince(startedAt)}`)
    total.passed += count.passed
    total.failed += count.failed
  }
  if (failures.length > 0) console.log(`\nFailed: ${failures.join(', ')}`)
  return total
}

endChildrenWithScript()
let total
try {
  await setup()
  total = await runSteps(await steps())
} catch (error) {
  console.error(error.message)
  total = { passed: 0, failed: 1 }
}
process.exitCode = total.failed > 0 ? 1 : 0
console.log(`\n${total.passed} passed, ${total.failed} failed`)
