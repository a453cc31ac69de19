import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

import { UserError } from './errors.js'
import { templates } from './templates.js'
import type { TemplateName } from './templates.js'

const packageFolder = fileURLToPath(new URL('..', import.meta.url))

/** The version of this package, and of the packages in the templates. */
export const { version }: { version: string } = JSON.parse(readFileSync(join(packageFolder, 'package.json'), 'utf8'))

/** The length of a secret in bytes: the output length of HMAC-SHA256. A longer key is not stronger. */
const SECRET_BYTES = 32

/** npm does not pack files with some names. */
const renamed: Record<string, string> = { _gitignore: '.gitignore' }

/**
 * Writes the files of a template, and `.dev.vars` with random secrets.
 *
 * @throws {UserError} The folder is not usable.
 */
export function createProject({ folder, name, template }: { folder: string; name: string; template: TemplateName }): void {
  requireUsableFolder(folder)
  for (const source of ['common', template]) {
    const files = join(packageFolder, 'templates', source)
    for (const entry of readdirSync(files, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue
      const path = join(entry.parentPath, entry.name).slice(files.length + 1)
      const target = join(folder, dirname(path), renamed[entry.name] ?? entry.name)
      const content = readFileSync(join(files, path), 'utf8')
      mkdirSync(dirname(target), { recursive: true })
      writeFileSync(target, content.replaceAll('{{name}}', name).replaceAll('{{version}}', version))
    }
  }
  const secrets = templates[template].secrets.map((secret) => `${secret}=${randomBytes(SECRET_BYTES).toString('base64url')}\n`)
  // Only the owner can read the file.
  writeFileSync(join(folder, '.dev.vars'), secrets.join(''), { mode: 0o600 })
}

/**
 * Checks that the folder is empty or does not exist. It may contain `.git`.
 *
 * @throws {UserError}
 */
export function requireUsableFolder(folder: string): void {
  const entries = entriesOf(folder).filter((entry) => entry !== '.git')
  if (entries.length > 0) throw new UserError(`folder ${folder} is not empty: choose another folder`)
}

function entriesOf(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return []
    if (code === 'ENOTDIR') throw new UserError(`${folder} is a file: choose another folder`)
    throw error
  }
}

/**
 * Returns the name of the package and the Worker: the given one, or the name of the folder.
 *
 * @throws {UserError} The name is not valid for npm, cargo and Cloudflare.
 */
export function projectName(folder: string, name = basename(resolve(folder))): string {
  if (/^[a-z](-?[a-z0-9])*$/.test(name) && name.length <= 63) return name
  throw new UserError(
    `invalid package name ${JSON.stringify(name)}: expected 1–63 lowercase letters, digits and single hyphens, starting with a ` +
      'letter. Rename the folder, or pass --name',
  )
}
