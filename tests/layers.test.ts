// The layers of the workspace: a pure crate never depends on the Workers runtime or JavaScript.

import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

import { describe, expect, test } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))

/** Returns all dependencies of a crate, including itself and without dev-dependencies. */
function dependenciesOf(crate: string, target: string): string[] {
  const args = ['tree', '--locked', '--package', crate, '--edges', 'normal,build', '--prefix', 'none', '--target', target]
  const lines = execFileSync('cargo', args, { cwd: root, encoding: 'utf8' }).split('\n')
  return [...new Set(lines.map((line) => line.split(' ')[0] ?? '').filter((name) => name !== ''))]
}

const bindings = (names: string[]) => names.filter((name) => /^(worker|wasm-bindgen|js-sys|web-sys|wasm-streams)/.test(name))

const wasm = 'wasm32-unknown-unknown'
const host = execFileSync('rustc', ['--print', 'host-tuple'], { encoding: 'utf8' }).trim()

describe('pure crates', () => {
  const layers: Record<string, string[]> = {
    'durable-event-wire': [],
    'durable-event-token': [],
    'durable-event-log': [],
  }
  for (const [crate, allowed] of Object.entries(layers)) {
    test(`${crate} depends neither on JavaScript bindings nor on another layer`, () => {
      for (const target of [host, wasm]) {
        const names = dependenciesOf(crate, target)
        expect(names).toContain(crate)
        const others = names.filter((name) => name.startsWith('durable-event-') && name !== crate)
        expect(others).toEqual(allowed)
      }
      expect(bindings(dependenciesOf(crate, host))).toEqual([])
    })
  }

  test('on wasm32, only the wire depends on JavaScript bindings: for floats, URLs and regular expressions', () => {
    const bound = Object.keys(layers).filter((crate) => bindings(dependenciesOf(crate, wasm)).length > 0)
    expect(bound).toEqual(['durable-event-wire'])
    const names = bindings(dependenciesOf('durable-event-wire', wasm))
    expect(names.filter((name) => !name.startsWith('wasm-bindgen'))).toEqual([])
  })

  test('ts-rs is only a dependency with the feature `typescript`', () => {
    for (const target of [host, wasm]) expect(dependenciesOf('durable-event-iterator', target)).not.toContain('ts-rs')
  })

  test('SQLite is only a dependency of tests', () => {
    expect(dependenciesOf('durable-event-iterator', host)).not.toContain('rusqlite')
    expect(dependenciesOf('durable-event-log', host)).not.toContain('rusqlite')
  })
})
