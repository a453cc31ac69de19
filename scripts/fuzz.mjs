// Runs the fuzz targets: `npm run fuzz [-- --target frames --runs 10000000 --seconds 600 --keep]`. Without `--target`, it runs
// all targets in turn. `--keep` adds the inputs that reach new code to `fuzz/corpus`, minimized. An input that fails is stored
// in `fuzz/failures`, and `npm test` runs it.
//
// The target `clients` (`fuzz-clients.mjs`) does not use libFuzzer: it passes the values that the crate accepts to real
// clients. `--seed` repeats one of its runs.
//
// No installation is needed: libFuzzer is part of the crate libfuzzer-sys and is built with the targets. The compiler flags
// below are those of cargo-fuzz, and all are stable.

import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

import { endChildrenWithScript, spawnChild } from './children.mjs'
import { seeds } from './fuzz-seeds.mjs'
import { requireRust } from './setup.mjs'
import { root, run, toolEnvironment } from './toolchain.mjs'

/** The default number of inputs for each target. */
const RUNS = '10000000'

/** The default number of inputs for the target `clients`, which runs some hundred inputs per second. */
const CLIENT_RUNS = '100000'

/** The maximum size of an input in bytes. Larger inputs are slow and reach no other code; separate tests cover them. */
const MAX_INPUT = 4_096

/** The time limit for one input in seconds: thousands of times the usual time. */
const TIMEOUT = 5

/** The memory limit of the process in MiB. Most of the memory is libFuzzer's corpus. */
const MEMORY = 1_024

/**
 * Instruments the edges of the code. Comparisons are not instrumented (`trace-compares`), which would take two thirds of the
 * time: the words that a fuzzer would learn from them are in `fuzz/words.dict`.
 */
const COVERAGE = [
  '-Cpasses=sancov-module',
  '-Cllvm-args=-sanitizer-coverage-level=4',
  '-Cllvm-args=-sanitizer-coverage-inline-8bit-counters',
  '-Cllvm-args=-sanitizer-coverage-pc-table',
  '--cfg=fuzzing',
]

/** The target that passes its inputs to clients. */
const CLIENTS = 'clients'

const folder = join(root, 'fuzz')
const built = join(root, 'target', 'fuzz')

/** Compiles the targets. `--target` is set, since build scripts would be instrumented otherwise. */
async function build() {
  const { stdout } = await run('rustc', ['--print', 'host-tuple'], { quiet: true })
  const host = stdout.trim()
  const { status } = await run(
    'cargo',
    ['build', '--locked', '--release', '--target', host, '--target-dir', built],
    { cwd: folder, env: { ...toolEnvironment(), RUSTFLAGS: COVERAGE.join(' ') } },
  )
  if (status !== 0) throw new Error('the fuzz targets do not compile')
  return join(built, host, 'release')
}

/** Writes the seeds of a target into its working folder, with the file names that libFuzzer uses. */
function plant(target, corpus) {
  mkdirSync(corpus, { recursive: true })
  for (const seed of seeds()[target]) {
    writeFileSync(join(corpus, createHash('sha1').update(seed).digest('hex')), seed)
  }
}

/** @returns {Promise<number>} the exit status */
function fuzzer(binary, args) {
  return new Promise((resolve, reject) => {
    const child = spawnChild(binary, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] })
    child.on('error', reject)
    child.on('close', (status) => resolve(status ?? 1))
  })
}

async function fuzz(target, binaries, { runs, seconds, keep }) {
  const binary = join(binaries, target)
  const working = join(built, 'corpus', target)
  const kept = join(folder, 'corpus', target)
  const failures = join(folder, 'failures', target)
  plant(target, working)
  for (const each of [kept, failures]) mkdirSync(each, { recursive: true })
  const status = await fuzzer(binary, [
    `-runs=${runs}`,
    `-max_total_time=${seconds}`,
    `-max_len=${MAX_INPUT}`,
    `-timeout=${TIMEOUT}`,
    `-rss_limit_mb=${MEMORY}`,
    `-artifact_prefix=${failures}/`,
    '-print_final_stats=1',
    `-dict=${join(folder, 'words.dict')}`,
    working,
    kept,
  ])
  // Minimizes by edges, not by how often they are taken: this keeps a tenth of the inputs.
  const merge = ['-set_cover_merge=1', '-use_counters=0', `-max_len=${MAX_INPUT}`]
  if (status === 0 && keep) await fuzzer(binary, [...merge, kept, working])
  const files = readdirSync(kept).map((name) => statSync(join(kept, name)).size)
  const bytes = files.reduce((sum, size) => sum + size, 0)
  console.log(`${target}: ${status === 0 ? 'nothing found' : 'FAILED'}; the corpus has ${files.length} inputs, ${bytes} bytes`)
  return status
}

/** @returns {Promise<number>} the exit status */
async function clients({ runs = CLIENT_RUNS, seconds, seed }) {
  const { fuzzClients } = await import('./fuzz-clients.mjs')
  return fuzzClients({ runs: Number(runs), seconds: Number(seconds), seed: Number(seed) })
}

// On SIGINT, libFuzzer prints its statistics and ends.
endChildrenWithScript({ signal: 'SIGINT' })
try {
  const { values: options } = parseArgs({
    options: {
      target: { type: 'string' },
      runs: { type: 'string' },
      // 0: no time limit.
      seconds: { type: 'string', default: '0' },
      keep: { type: 'boolean', default: false },
      seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
    },
  })
  const targets = [...Object.keys(seeds()), CLIENTS]
  if (options.target !== undefined && !targets.includes(options.target)) {
    throw new Error(`unknown target ${options.target}; expected one of ${targets.join(', ')}`)
  }
  await requireRust()
  const wanted = options.target === undefined ? targets : [options.target]
  const binaries = wanted.some((target) => target !== CLIENTS) ? await build() : undefined
  for (const target of wanted) {
    const status = target === CLIENTS ? await clients(options) : await fuzz(target, binaries, { ...options, runs: options.runs ?? RUNS })
    if (status !== 0) process.exitCode = 1
  }
} catch (error) {
  console.error(error.message)
  process.exitCode = 1
}
