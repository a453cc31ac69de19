// Settings and secrets: from flags, the environment, and `.dev.vars`, in this order.

import { readFileSync } from 'node:fs'
import util from 'node:util'

import { Failure, UsageError } from './errors.js'

/** The values of one source by their names. */
export interface Source {
  /** The name of the source in messages. */
  readonly title: string
  readonly values: Readonly<Record<string, string | undefined>>
}

/** The file with the secrets of local development, in the current folder. `wrangler dev` reads it too. */
export const DEV_VARS = '.dev.vars'

/** The sources of values that are not flags. */
export interface Environment {
  readonly process: Source
  /** The file, if it exists. */
  readonly file: Source | undefined
  /** Whether the user has named the file. Otherwise its secrets are only for Workers on this machine, and the Worker of its `DEI_URL`. */
  readonly isFileNamed: boolean
}

/**
 * Reads the environment.
 *
 * @param path - The file that the user has named, if any.
 * @throws {UsageError} When a file cannot be read.
 */
export function readEnvironment(path: string | undefined): Environment {
  const file = path ?? DEV_VARS
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT'
    if (isMissing && path === undefined) return { process: PROCESS, file: undefined, isFileNamed: false }
    throw new UsageError(isMissing ? `file ${file} does not exist` : `cannot read ${file}: ${(error as Error).message}`)
  }
  return { process: PROCESS, file: { title: file, values: parse(text) }, isFileNamed: path !== undefined }
}

function parse(text: string): Source['values'] {
  // Added in Node.js 20.12.
  if ((util as Partial<typeof util>).parseEnv === undefined) throw new Failure(`Node.js 20.12 or later is required, got ${process.version}`)
  return util.parseEnv(text)
}

const PROCESS: Source = { title: 'the environment', values: process.env }

/** Returns a value of the environment or the file. An empty value is the same as a missing one. */
export function valueOf({ process, file }: Environment, name: string): { readonly value: string; readonly source: Source } | undefined {
  for (const source of [process, file]) {
    const value = source?.values[name]
    if (source !== undefined && value !== undefined && value !== '') return { value, source }
  }
  return undefined
}
