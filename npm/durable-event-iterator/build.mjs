// Builds the package: `npm run build`, also before packing. It copies the built generic Worker from the root of the repository
// to `worker/build/`, compiles `src/` to `dist/`, and bundles the command line. The repository builds the compiled parts, see
// `scripts/build.mjs` there.

import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const folder = dirname(fileURLToPath(import.meta.url))
const root = join(folder, '..', '..')

/** The files of a built Worker. */
const BUILT = ['index.js', 'index_bg.wasm']

/** The Workers that the package contains, by the folder of the repository in which they are built. */
const parts = [
  { title: 'the core of the Durable Object classes', folder: 'npm/durable-event-iterator/core', build: join(folder, 'core', 'build') },
  { title: 'the generic Worker', folder: '.', build: join(root, 'build') },
]

const missing = parts.filter(({ build }) => BUILT.some((file) => !existsSync(join(build, file))))
if (missing.length > 0) {
  const titles = missing.map(({ title }) => title).join(', ')
  const command = `npm run build -- ${missing.map((part) => part.folder).join(' ')}`
  console.error(`The package cannot be built, because these parts are not built: ${titles}. Run this in the root of the repository: ${command}`)
  process.exit(1)
}

// Written by worker-build. npm would leave the files out of the package.
rmSync(join(folder, 'core', 'build', '.gitignore'), { force: true })

const worker = join(folder, 'worker', 'build')
rmSync(worker, { recursive: true, force: true })
mkdirSync(worker, { recursive: true })
for (const file of BUILT) cpSync(join(root, 'build', file), join(worker, file))

rmSync(join(folder, 'dist'), { recursive: true, force: true })
const compiler = createRequire(import.meta.url).resolve('typescript/package.json').replace(/package\.json$/, 'bin/tsc')
try {
  // The second project is compiled with the types of oRPC 2.x.
  for (const project of ['tsconfig.json', 'tsconfig.orpc-v2.json']) {
    execFileSync(process.execPath, [compiler, '--project', join(folder, project)], { stdio: 'inherit' })
  }
} catch {
  process.exitCode = 1 // the compiler has printed its errors
}

// Imported here, since it needs installed packages, unlike the checks above.
const { bundleCommandLine } = await import('./command-line.mjs')
await bundleCommandLine(join(folder, 'dist', 'cli.js'))
