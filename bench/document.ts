// Writes results into docs/performance.md, between its markers.

import { readFileSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'

/** The environment of a measurement. */
export interface Setting {
  date: string
  processor: string
  cores: number
  workerd: string
}

const DOCUMENT = new URL('../docs/performance.md', import.meta.url)

export function currentSetting(): Setting {
  const workerd = JSON.parse(readFileSync(new URL('../node_modules/workerd/package.json', import.meta.url), 'utf8')) as {
    version: string
  }
  const processors = cpus()
  return {
    date: new Date().toISOString().slice(0, 10),
    processor: processors[0]?.model ?? 'unknown',
    cores: processors.length,
    workerd: workerd.version,
  }
}

/** Returns the beginning of a sentence. */
export function textOf({ date, processor, cores, workerd }: Setting): string {
  return `Measured on ${date}: workerd ${workerd.replace(/^1\./, '')}, ${cores} cores of ${processor}`
}

/** Replaces the sections of these names. */
export function writeSections(sections: Record<string, string>): void {
  let document = readFileSync(DOCUMENT, 'utf8')
  for (const [name, text] of Object.entries(sections)) {
    const [begin, end] = [`<!-- measured: ${name} -->\n`, `<!-- end of ${name} -->`]
    const [from, to] = [document.indexOf(begin), document.indexOf(end)]
    if (from < 0 || to < from) throw new Error(`docs/performance.md has no markers for ${name}`)
    document = `${document.slice(0, from + begin.length)}\n${text}\n\n${document.slice(to)}`
  }
  writeFileSync(DOCUMENT, document)
}

export function table(head: string[], lines: string[][]): string {
  const line = (cells: string[]): string => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map((_, n) => (n === 0 ? '---' : '--:'))), ...lines.map(line)].join('\n')
}

export const whole = (number: number): string => Math.round(number).toLocaleString('en')

/** Three significant digits, the precision of the measurements. */
export const rough = (number: number): string => (number >= 100 ? whole(number) : number.toPrecision(3))
