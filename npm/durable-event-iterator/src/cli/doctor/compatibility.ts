// The compatibility date in the configuration of wrangler.

import { readFileSync } from 'node:fs'

import { failed, ok, skipped, warning } from './check.js'
import type { Finding } from './check.js'

const TITLE = 'compatibility date'

const FILES = ['wrangler.jsonc', 'wrangler.json', 'wrangler.toml']

/** The earliest date that the Durable Objects need, and the date from which RPC errors have their properties. */
const REQUIRED = '2024-04-03'
const RECOMMENDED = '2026-04-21'

/** Checks the compatibility dates in the configuration of the current folder, of all environments. */
export function compatibilityFinding(): Finding {
  for (const file of FILES) {
    let text: string
    try {
      text = readFileSync(file, 'utf8')
    } catch {
      continue
    }
    const dates = datesIn(text)
    const [earliest] = dates.sort()
    if (earliest === undefined) return failed(TITLE, `${file} has no compatibility date`, `set compatibility_date to ${RECOMMENDED} or later`)
    const advice = `set compatibility_date in ${file} to ${RECOMMENDED} or later, and deploy`
    if (earliest < REQUIRED) return failed(TITLE, `${earliest} in ${file} is before ${REQUIRED}, which the Durable Objects require`, advice)
    if (earliest < RECOMMENDED) {
      return warning(TITLE, `${earliest} in ${file} is before ${RECOMMENDED}: errors of RPC methods have no properties such as \`code\``, advice)
    }
    return ok(TITLE, `${earliest} in ${file}`)
  }
  return skipped(TITLE, 'this folder has no wrangler.jsonc, wrangler.json or wrangler.toml')
}

/** Returns all compatibility dates in JSON or TOML, except those in comments of a line. */
function datesIn(text: string): string[] {
  const lines = text.replaceAll(/^\s*(\/\/|#).*$/gm, '')
  return [...lines.matchAll(/(?:"compatibility_date"\s*:|^[ \t]*compatibility_date\s*=)\s*["'](\d{4}-\d{2}-\d{2})["']/gm)].map(([, date]) => date!)
}
