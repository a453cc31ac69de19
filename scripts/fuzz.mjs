// Looks for inputs that break what must hold: `npm run fuzz [-- --target frames --runs 10000000 --seconds 600 --keep]`.
// Without a target, every one in its turn. The target `clients` (`fuzz-clients.mjs`) needs no libFuzzer: it hands what the crate
// accepts to real clients, and `--seed` repeats a run of it. `--keep` adds what was found to reach new code to `fuzz/corpus`, as few bytes
// as possible; an input that fails is kept in `fuzz/failures`, where `npm test` finds it.
//
// libFuzzer comes with the crate libfuzzer-sys and is built with the targets; the compiler's flags below are what
// cargo-fuzz would set, and all are stable. So nothing has to be installed.

import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

import { endChildrenWithScript, spawnChild } from './children.mjs'
import { seeds } from './fuzz-seeds.mjs'
import { requireRust } from './setup.mjs'
import { root, run, toolEnvironment } from './toolchain.mjs'

/** Inputs for each target, where nothing else is said. */
const RUNS = '10000000'

/** Inputs for the target `clients`, where nothing else is said: it tries some hundreds a second. */
const CLIENT_RUNS = '100000'

/** The largest input in bytes. Larger ones reach nothing more and are slow; tests of their own have them. */
const MAX_INPUT = 4_096

/** How long one input may take, in seconds: thousands of times what it does take. */
const TIMEOUT = 5

/** What the process may take, in MiB: most of it is libFuzzer's own memory of its corpus. */
const MEMORY = 1_024

/**
 * The compiler counts which edges are taken. It could also tell libFuzzer what is compared (`trace-compares`), which took
 * two thirds of the time; the words that a fuzzer would learn from that stand in `fuzz/words.dict`.
 */
const COVERAGE = [
  '-Cpasses=sancov-module',
  '-Cllvm-args=-sanitizer-coverage-level=4',
  '-Cllvm-args=-sanitizer-coverage-inline-8bit-counters',
  '-Cllvm-args=-sanitizer-coverage-pc-table',
  '--cfg=fuzzing',
]

/** The target whose inputs go to clients. */
const CLIENTS = 'clients'

const folder = join(root, 'fuzz')
const built = join(root, 'target', 'fuzz')

/** Compiles the targets, for this machine by name: otherwise build scripts would be instrumented too. */
async function build() {
  const { stdout } = await run('rustc', ['--print', 'host-tuple'], { quiet: true })
  const host = stdout.trim()
  const { status } = await run(
    'cargo',
    ['build', '--locked', '--release', '--target', host, '--target-dir', built],
    { cwd: folder, env: { ...toolEnvironment(), RUSTFLAGS: COVERAGE.join(' ') } },
  )
  if (status !== 0) throw new Error('The fuzzers do not compile.')
  return join(built, host, 'release')
}

/** Writes the seeds of a target into its working folder, named as libFuzzer names inputs. */
function plant(target, corpus) {
  mkdirSync(corpus, { recursive: true })
  for (const seed of seeds()[target]) {
    writeFileSync(join(corpus, createHash('sha1').update(seed).digest('hex')), seed)
  }
}

/** @returns {Promise<number>} its status */
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
  // Which edges are reached decides, and not how often: that keeps a tenth of the inputs.
  const merge = ['-set_cover_merge=1', '-use_counters=0', `-max_len=${MAX_INPUT}`]
  if (status === 0 && keep) await fuzzer(binary, [...merge, kept, working])
  const files = readdirSync(kept).map((name) => statSync(join(kept, name)).size)
  const bytes = files.reduce((sum, size) => sum + size, 0)
  console.log(`${target}: ${status === 0 ? 'nothing found' : 'FAILED'}; ${files.length} inputs of ${bytes} bytes are kept`)
  return status
}

/** @returns {Promise<number>} its status */
async function clients({ runs = CLIENT_RUNS, seconds, seed }) {
  const { fuzzClients } = await import('./fuzz-clients.mjs')
  return fuzzClients({ runs: Number(runs), seconds: Number(seconds), seed: Number(seed) })
}

// libFuzzer ends with its statistics on SIGINT.
endChildrenWithScript({ signal: 'SIGINT' })
try {
  const { values: options } = parseArgs({
    options: {
      target: { type: 'string' },
      runs: { type: 'string' },
      // 0: as long as the runs take.
      seconds: { type: 'string', default: '0' },
      keep: { type: 'boolean', default: false },
      seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
    },
  })
  const targets = [...Object.keys(seeds()), CLIENTS]
  if (options.target !== undefined && !targets.includes(options.target)) {
    throw new Error(`There is no target ${options.target}; there are ${targets.join(', ')}.`)
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
