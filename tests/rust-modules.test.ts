// The modules of each Rust crate import each other without cycles, except in tests.

import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

import { expect, test } from 'vitest'

import { cyclesOf } from './support/cycles.ts'

const crates = fileURLToPath(new URL('../crates', import.meta.url))

/** The code of a file without its tests and comments. */
function codeOf(path: string): string {
  const source = readFileSync(path, 'utf8')
  const tests = source.search(/^#\[cfg\(test\)\]\nmod tests/m)
  return (tests < 0 ? source : source.slice(0, tests)).replaceAll(/\/\/.*$/gm, '')
}

/** The top-level module of each name that a crate's root exports again. */
function exportsOf(root: string): Map<string, string> {
  const modules = new Map<string, string>()
  for (const [, tree] of root.matchAll(/^(?:pub(?:\(crate\))? )?use (?:self::|crate::)?([^;]*);/gm)) {
    for (const path of expand(tree!)) {
      const [module, ...rest] = path.split('::')
      if (rest.length > 0) modules.set(rest.at(-1)!, module!)
    }
  }
  return modules
}

/** The paths of a tree of imports: `a::{b, c::d}` is `a::b` and `a::c::d`. */
function expand(tree: string): string[] {
  const text = tree.replaceAll(/\s+/g, '')
  const open = text.indexOf('{')
  if (open < 0) return [text]
  const prefix = text.slice(0, open)
  const items: string[] = ['']
  let depth = 0
  for (const char of text.slice(open + 1, text.lastIndexOf('}'))) {
    if (char === ',' && depth === 0) items.push('')
    else items[items.length - 1] += char
    if (char === '{') depth += 1
    if (char === '}') depth -= 1
  }
  return items.filter((item) => item !== '').flatMap((item) => expand(item).map((path) => prefix + path))
}

/** The top-level modules that each top-level module of a crate imports. */
function importsOf(crate: string): Map<string, string[]> {
  const source = join(crates, crate, 'src')
  const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.rs'))
  const root = readFileSync(join(source, 'lib.rs'), 'utf8')
  const testOnly = new Set([...root.matchAll(/#\[cfg\(test\)\]\n(?:#\[[^\n]*\n)*mod (\w+);/g)].map(([, name]) => name!))
  const exported = exportsOf(codeOf(join(source, 'lib.rs')))
  const modules = new Set(files.map((file) => file.split(/[/\\]/)[0]!.replace(/\.rs$/, '')).filter((name) => name !== 'lib'))
  const graph = new Map<string, string[]>([...modules].map((name) => [name, []]))
  for (const file of files) {
    const parts = file.split(/[/\\]/)
    const module = parts[0]!.replace(/\.rs$/, '')
    if (module === 'lib' || testOnly.has(module) || parts.at(-1) === 'tests.rs') continue
    // In a file at the top, `super` is the crate.
    const isTop = parts.length === 1 || (parts.length === 2 && parts[1] === 'mod.rs')
    const code = codeOf(join(source, relative('.', file)))
    const bases = isTop ? '(?:crate|super)' : 'crate'
    const paths = [
      ...[...code.matchAll(new RegExp(`\\buse ${bases}::([^;]*);`, 'g'))].flatMap(([, tree]) => expand(tree!)),
      ...[...code.replaceAll(/\buse [^;]*;/g, '').matchAll(/\bcrate::([\w:]+)/g)].map(([, path]) => path!),
    ]
    for (const path of paths) {
      const [first, ...rest] = path.split('::').map((name) => name.split(' as ')[0]!)
      const imported = modules.has(first!) && (rest.length > 0 || !exported.has(first!)) ? first! : exported.get(first!)
      if (imported !== undefined && imported !== module) graph.get(module)!.push(imported)
    }
  }
  return graph
}

test.each(readdirSync(crates))('the modules of %s are in layers', (crate) => {
  const graph = importsOf(crate)
  expect([...graph.values()].some((imported) => imported.length > 0), 'imports are read').toBe(true)
  expect(cyclesOf(graph).map((cycle) => cycle.join(' → '))).toEqual([])
})
