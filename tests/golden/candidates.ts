/** Generates unusual and mostly valid bodies from a seed. */

/** A sequence of numbers from 0 to 1 (mulberry32). */
export function random(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

export class Candidates {
  readonly #next: () => number

  constructor(seed: number) {
    this.#next = random(seed)
  }

  #below(limit: number): number {
    return Math.floor(this.#next() * limit)
  }

  #chance(probability: number): boolean {
    return this.#next() < probability
  }

  #of<T>(list: readonly T[]): T {
    return list[this.#below(list.length)]!
  }

  #letters(alphabet: readonly string[], most: number): string {
    return Array.from({ length: this.#below(most + 1) }, () => this.#of(alphabet)).join('')
  }

  url(): string {
    const scheme = this.#of(['http', 'https', 'ws', 'ftp', 'file', 'foo', 'data', 'blob', 'HTTP', 'a+b', 'urn', '1a', ''])
    const slashes = this.#of(['//', '//', '//', '//', '/', '', '///', '\\\\', '/\\'])
    const user = this.#of(['', '', '', '@', 'u@', 'u:p@', ':@', 'a@b@'])
    const parts = ['a', 'B', '1', '0x1', '256', '.', '.', '-', '_', '%', '%41', '[', ']', '::', ':', 'xn--', 'é', '"', '{', '|', '^', '<', ' ', '~', '*', '\\', '#', '?', '@', '127.0.0.1', '[::1]', '[1::]', '[::1.2.3.4]', '0', '00']
    const host = this.#chance(0.5) ? this.#of(['example.com', 'a', '127.0.0.1', '[::1]', '1.2.3', 'a.1', 'xn--bcher-kva.example', 'xn--a', '0x7f.1', '']) : this.#letters(parts, 4)
    const port = this.#of(['', '', '', ':', ':80', ':65535', ':65536', ':0', ':a', ':080'])
    return `${scheme}${this.#of([':', ':', ':', ':', ''])}${slashes}${user}${host}${port}${this.#letters(['/', '?', '#', 'a', '%', '%2', ' ', '..', '\\', 'é', '|', ':', '@', '[', '\t', '\n'], 5)}`
  }

  regexp(): { source: string; flags: string } {
    const parts = ['a', 'b', '1', '.', '\\d', '\\w', '\\b', '\\/', '/', '\\p{L}', '\\u{61}', '\\1', '\\k<a>', '(', ')', '(?:', '(?=', '(?!', '(?<=', '(?<a>', '(?i:', '[', ']', '[a-z]', '[z-a]', '[^', '-', '{', '}', '{2}', '{2,1}', '{,3}', '*', '+', '?', '*?', '|', '^', '$', '\\', '\\c', '\\x', 'é', ',', '&&', '--', '\u2028', '\n', '()']
    return { source: this.#letters(parts, 7), flags: this.#letters(['', '', 'g', 'i', 'u', 'v', 'y', 'd', 's', 'm', 'x'], 3) }
  }

  text(): string {
    const { source, flags } = this.regexp()
    return this.#of([
      () => this.#letters(['a', 'é', '漢', '😀', '\ud800', '\udc00', '\0', '\n', '\r', '"', '\\', '\u2028', '__proto__'], 5),
      () => this.url(),
      () => `/${source}/${flags}`,
      () => this.#letters(['-', '+', '0', '1', '9', 'n', 'x', ' ', '_', 'e'], 4),
      () => this.#of(['9'.repeat(4_300), '9'.repeat(4_301), `-${'1'.repeat(4_300)}`, '-0', '00', '']),
      () => this.#of(['2020-01-02T03:04:05.678Z', '2020-01-02', '+275760-09-13T00:00:00.001Z', '-000000-01-01T00:00:00Z', '2020-02-30', 'Invalid Date', '1e3', '+010000-01-01T00:00:00.000Z']),
    ])()
  }

  #key(): string {
    return this.#of(['a', 'b', 'x', '0', '1', '-1', '', '__proto__', 'constructor', 'prototype', 'toJSON', 'then', 'json', 'meta', 'length', 'hasOwnProperty', 'é', '\ud83d', '😀', 'data', 'code'])
  }

  /** The JSON text of a value, and the paths of its parts. */
  #value(depth: number, path: (string | number)[], paths: (string | number)[][]): string {
    paths.push(path)
    const kind = depth <= 0 ? this.#below(5) : this.#below(9)
    if (kind < 2) return JSON.stringify(this.text())
    if (kind === 2) return this.#of(['null', 'true', 'false', 'null'])
    if (kind === 3) return this.#of(['0', '-0', '1', '-1.5', '1e21', '1e999', '-1e999', '5e-324', '1e-999', '9007199254740993', '18446744073709551615', '18446744073709551616', '0.1'])
    if (kind === 4) return this.#of(['[]', '{}', '""', '[[1,2]]', '[["a"]]'])
    const items = Array.from({ length: this.#below(4) }, (_, n) => n)
    if (kind < 7) return `[${items.map((n) => this.#value(depth - 1, [...path, n], paths)).join(',')}]`
    const entries = items.map(() => {
      const key = this.#key()
      return `${JSON.stringify(key)}:${this.#value(depth - 1, [...path, key], paths)}`
    })
    return `{${entries.join(',')}}`
  }

  body(): string {
    const paths: (string | number)[][] = []
    const json = this.#chance(0.03) ? `${'['.repeat(this.#below(140))}1` : this.#value(4, [], paths)
    const closed = json.startsWith('[[[[[') && paths.length === 0 ? `${json}${']'.repeat(json.length - 1)}` : json
    // Children before their parents, as clients write them; sometimes in another order, twice, or with a path to nothing.
    const order = this.#chance(0.9) ? [...paths].reverse() : paths
    const meta = order.flatMap((path) => {
      if (!this.#chance(0.4)) return []
      const kind = this.#of([0, 1, 2, 3, 4, 4, 4, 5, 5, 5, 6, 7, 8, 21, 4294967295])
      const end = this.#chance(0.02) ? [this.#key()] : []
      const entry = [kind, ...path, ...end]
      return this.#chance(0.03) ? [entry, entry] : [entry]
    })
    let text = `{"json":${closed}${meta.length > 0 || this.#chance(0.1) ? `,"meta":${JSON.stringify(meta)}` : ''}}`
    if (this.#chance(0.05)) {
      const at = this.#below(text.length)
      text = text.slice(0, at) + this.#of(['', '"', '[', '}', '0', '\\', 'é', ' ']) + text.slice(at + this.#below(2))
    }
    return text
  }

  meta(): { retry?: number; comments?: string[]; event_id?: string } {
    return {
      ...(this.#chance(0.3) ? { retry: this.#of([0, 1, 5_000, 2_147_483_647, 2_147_483_648, 4_294_967_295]) } : {}),
      ...(this.#chance(0.3) ? { comments: Array.from({ length: this.#below(3) }, () => this.text().toWellFormed()) } : {}),
      ...(this.#chance(0.2) ? { event_id: this.#chance(0.5) ? 'an id' : this.text().toWellFormed() } : {}),
    }
  }

  /** A body that is usually accepted: its entries match the types. */
  fittingBody(): string {
    const meta: unknown[] = []
    const json = this.#fitting(4, [], meta)
    return JSON.stringify(meta.length === 0 ? { json } : { json, meta })
  }

  #fitting(depth: number, path: (string | number)[], meta: unknown[]): unknown {
    const typed = (kind: number, json: unknown): unknown => {
      meta.push([kind, ...path])
      return json
    }
    const kind = this.#below(depth <= 0 ? 9 : 14)
    const items = (): unknown[] => Array.from({ length: this.#below(4) }, (_, n) => this.#fitting(depth - 1, [...path, n], meta))
    switch (kind) {
      case 0: return typed(0, this.#of(['0', '-1', '9'.repeat(4_300), '12345678901234567890']))
      case 1: return typed(1, this.#of([null, '2020-01-02T03:04:05.678Z', '2020-01-02', '+010000-01-01T00:00:00.000Z']))
      case 2: return typed(2, null)
      case 3: return path.length > 0 && typeof path.at(-1) === 'number' ? typed(3, null) : null
      case 4: return typed(4, this.url())
      case 5: {
        const { source, flags } = this.regexp()
        return typed(5, `/${source}/${flags}`)
      }
      case 6: return this.text()
      case 7: return this.#of([0, -0, 1.5, true, false, null, 1e21])
      case 8: return this.#of([[], {}])
      case 9: return items()
      case 10: {
        const json = items()
        return typed(6, json)
      }
      case 11: {
        const pairs = Array.from({ length: this.#below(3) }, (_, n) => [0, 1].map((m) => this.#fitting(depth - 2, [...path, n, m], meta)))
        return typed(7, pairs)
      }
      case 12: {
        const json = this.#fitting(depth - 1, path, meta)
        return path.length === 0 ? json : typed(this.#of([8, 22, 100]), json)
      }
      default: {
        const entries = Object.create(null)
        for (let n = this.#below(4); n > 0; n--) {
          const key = this.#key()
          if (Object.hasOwn(entries, key)) continue
          Object.defineProperty(entries, key, { value: this.#fitting(depth - 1, [...path, key], meta), enumerable: true })
        }
        return entries
      }
    }
  }
}
