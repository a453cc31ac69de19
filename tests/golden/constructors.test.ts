// All accepted values can be revived by every client: URLs and regular expressions with JavaScript's constructors, other values
// with the clients themselves.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { Candidates } from './candidates.ts'
import { FiveClients, checkCandidates } from './five-clients.ts'
import { startServer } from './server.ts'
import type { Server } from './server.ts'

/** The check in a Worker, which is JavaScript without types. */
const { isRegExp, isUrl } = (await import(new URL('../../crates/durable-event-wire/src/javascript/constructors.js', import.meta.url).href)) as {
  isRegExp(source: string, flags: string): boolean
  isUrl(text: string): boolean
}

let server: Server
beforeAll(() => {
  server = startServer()
}, 300_000)
afterAll(() => server?.close())

/** Candidates of each kind. `npm run fuzz -- --target clients` tries many more. */
const COUNT = 20_000
const SEED = 20_261_126

const constructs = (make: () => unknown): boolean => {
  try {
    make()
    return true
  } catch {
    return false
  }
}

describe('a URL', () => {
  const candidates = new Candidates(SEED)
  const urls = Array.from({ length: COUNT }, () => candidates.url().toWellFormed())

  test('that the native check accepts is also accepted by JavaScript and by the check in a Worker', async () => {
    const accepted = await server.ask({ urls })
    const taken = urls.filter((_, n) => accepted[n])
    expect(taken.length).toBeGreaterThan(COUNT / 50)
    expect(taken.filter((text) => !constructs(() => new URL(text)))).toEqual([])
    expect(taken.filter((text) => !isUrl(text))).toEqual([])
  })

  test('that the check in a Worker accepts is also accepted by JavaScript', () => {
    expect(urls.filter((text) => isUrl(text) && !constructs(() => new URL(text)))).toEqual([])
  })

  test('in the normal form of JavaScript is accepted natively, unless its domain has unusual characters or an international name', async () => {
    const hrefs = urls.filter((text) => constructs(() => new URL(text))).map((text) => new URL(text).href)
    const usual = hrefs.filter((text) => {
      const { protocol, hostname } = new URL(text)
      const isOdd = /^(https?|wss?|ftp|file):$/.test(protocol) && (/["`{}]|(^|\.)xn--/.test(hostname) || (protocol === 'file:' && hostname.startsWith('[')))
      return !isOdd && !text.endsWith(' ')
    })
    expect(usual.length).toBeGreaterThan(COUNT / 50)
    const accepted = await server.ask({ urls: usual })
    expect(usual.filter((_, n) => !accepted[n])).toEqual([])
  })

  test.each([
    ['bücher.example', true], ['пример.испытание', true], ['faß.de', true], ['日本語.jp', true], ['i❤.ws', true], ['مثال.إختبار', true],
    ['xn--', false], ['xn--a', false], ['xn--a-0000', false], ['xn--zzzzzz', false], ['a.xn--abc-', false], ['xn---', false],
    [`xn--${'bcher-kva'.repeat(40)}`, false],
  ])('with the name %s is checked as one in Unicode: %s', (name, expected) => {
    expect(constructs(() => new URL(`http://${name}/`)) && isUrl(new URL(`http://${name}/`).href)).toBe(expected)
  })

  test('with an encoded name is accepted for every letter that a name may have', () => {
    for (let point = 0x80; point < 0x20_000; point += 5) {
      const text = `http://a${String.fromCodePoint(point)}b/`
      if (constructs(() => new URL(text)) && !isUrl(new URL(text).href)) throw new Error(`U+${point.toString(16)}`)
    }
  })
})

describe('a RegExp', () => {
  const candidates = new Candidates(SEED + 1)
  const regexps = Array.from({ length: COUNT }, () => candidates.regexp()).map(({ source, flags }) => [source, flags] as [string, string])

  test('that the native check accepts is also accepted by JavaScript and by the check in a Worker', async () => {
    const accepted = await server.ask({ regexps })
    const taken = regexps.filter((_, n) => accepted[n])
    expect(taken.length).toBeGreaterThan(COUNT / 50)
    expect(taken.filter(([source, flags]) => !constructs(() => new RegExp(source, flags)))).toEqual([])
    expect(taken.filter(([source, flags]) => !isRegExp(source, flags))).toEqual([])
  })

  test('that the check in a Worker accepts is also accepted by JavaScript', () => {
    expect(regexps.filter(([source, flags]) => isRegExp(source, flags) !== constructs(() => new RegExp(source, flags)))).toEqual([])
  })
})

test('accepted values are revived by clients of five versions with the same result', async () => {
  const clients = await FiveClients.start()
  const { accepted, rejected } = await checkCandidates(server, clients, { seed: SEED, runs: 1_500 })
  expect(accepted).toBeGreaterThan(300)
  expect(rejected).toBeGreaterThan(100)
}, 120_000)
