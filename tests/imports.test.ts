// Modules import each other without cycles, including imports of types.

import { execFile } from 'node:child_process'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { expect, test } from 'vitest'

import { cyclesOf } from './support/cycles.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin/tsc')

/** Returns the imports of each module of this repository, resolved by the TypeScript compiler. */
async function imports(): Promise<Map<string, string[]>> {
  const options = ['--noEmit', '--explainFiles', '--project', 'tests/support/imports.tsconfig.json']
  const { stdout } = await promisify(execFile)(process.execPath, [tsc, ...options], { cwd: root, maxBuffer: 2 ** 26 })
  const graph = new Map<string, string[]>()
  let module = ''
  for (const line of stdout.split('\n')) {
    // The name of a file, then the reasons why it is part of the program.
    if (!line.startsWith(' ')) module = line
    const importer = /^ +Imported via .* from file '(.*?)'/.exec(line)?.[1]
    if (importer === undefined || [module, importer].some((file) => file.startsWith('node_modules/'))) continue
    graph.set(importer, [...(graph.get(importer) ?? []), module])
  }
  return graph
}

test('the search finds cycles', () => {
  expect(cyclesOf(new Map([['a', ['b', 'd']], ['b', ['c', 'd']], ['c', ['b']], ['d', ['d']]]))).toEqual([
    ['b', 'c', 'b'],
    ['d', 'd'],
  ])
})

test('no module of bench, examples, npm, scripts and tests is part of an import cycle', async () => {
  const graph = await imports()
  // The graph includes type imports, imports of JavaScript, and imports by the name of the package.
  expect(graph.get('bench/report.ts')).toContain('bench/variants.ts')
  expect(graph.get('scripts/setup.mjs')).toContain('scripts/toolchain.mjs')
  expect(graph.get('tests/npm/types.ts')).toContain('npm/durable-event-iterator/src/index.ts')
  expect(cyclesOf(graph).map((cycle) => cycle.join(' → '))).toEqual([])
})
