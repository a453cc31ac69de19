// Code blocks of the documentation as projects that import the package by its name.

import { execFile } from 'node:child_process'
import { access, cp, mkdir, mkdtemp, readdir, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { linkOrpc } from './npm-package.ts'
import type { PackedPackage } from './npm-package.ts'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))
const modules = join(root, 'node_modules')

/**
 * The code blocks of a document in a language, which is a regular expression, in order, or those of the sections whose titles match.
 */
export async function blocksOf(document: string, language: string, isIncluded = (_title: string): boolean => true): Promise<string[]> {
  const sections = (await readFile(join(root, document), 'utf8')).split(/^(?=## )/m)
  const text = sections.filter((section) => isIncluded(section.split('\n', 1)[0]!)).join('')
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\n([\\s\\S]*?)^\`\`\``, 'gm'))].map(([, code]) => code!)
}

/**
 * The TypeScript blocks of a document by the file name in their first line.
 *
 * @param orpc - The version for which they are. A section is for 2.x if its title ends with that.
 * @throws {Error} When a block has no file name, or two blocks have the same.
 */
export async function filesOf(document: string, orpc: '1.x' | '2.x' = '1.x'): Promise<Map<string, string>> {
  const files = new Map<string, string>()
  for (const block of await blocksOf(document, 'tsx?', (title) => title.endsWith(' 2.x') === (orpc === '2.x'))) {
    const name = /^\/\/ ([\w-]+\.tsx?)\n/.exec(block)?.[1]
    if (name === undefined || files.has(name)) throw new Error(`${document}: a block has no unique file name:\n${block}`)
    files.set(name, block)
  }
  return files
}

/** The Markdown files of the repository's root, `docs/` and each package, as seen from the root. */
export async function documents(): Promise<string[]> {
  const filesIn = async (folder: string) => (await readdir(join(root, folder))).map((name) => join(folder, name))
  const packages = (await Promise.all(['crates', 'npm'].map(filesIn))).flat()
  const files = (await Promise.all(['', 'docs', ...packages].map(filesIn))).flat()
  return files.filter((name) => name.endsWith('.md'))
}

/** The URL of the repository, defined in `Cargo.toml`. */
export async function repositoryUrl(): Promise<string> {
  const url = /^repository = "(.*)"$/m.exec(await readFile(join(root, 'Cargo.toml'), 'utf8'))?.[1]
  if (url === undefined) throw new Error('Cargo.toml defines no repository')
  return url
}

/**
 * A document's links to files of the repository, relative or by URL: their text, the file from the root, and the heading's id
 * if there is one.
 */
export async function linksOf(document: string): Promise<{ text: string; file: string; heading: string | undefined }[]> {
  const files = `${await repositoryUrl()}/blob/main/`
  const prose = (await readFile(join(root, document), 'utf8')).replaceAll(/^```[\s\S]*?^```/gm, '')
  const links = [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target!)
  return links
    .filter((text) => !/^\w+:/.test(text) || text.startsWith(files))
    .map((text) => {
      const [path, heading] = text.split('#') as [string, string?]
      if (path.startsWith(files)) return { text, file: path.slice(files.length), heading }
      return { text, file: path === '' ? document : join(dirname(document), path), heading }
    })
}

/** A document's links that lead nowhere on crates.io and npmjs.com, which show it without the repository around it. */
export async function relativeLinksOf(document: string): Promise<string[]> {
  const texts = (await linksOf(document)).map(({ text }) => text)
  return texts.filter((text) => !text.startsWith('https:') && !text.startsWith('#'))
}

/** The ids that GitHub gives to a file's headings; none for other files, and `undefined` if the file does not exist. */
export async function headingsOf(file: string): Promise<string[] | undefined> {
  if (!file.endsWith('.md')) return access(join(root, file)).then(() => [], () => undefined)
  const text = await readFile(join(root, file), 'utf8').catch(() => undefined)
  const headings = text?.replaceAll(/^```[\s\S]*?^```/gm, '').matchAll(/^#+ (.*)$/gm)
  return headings && [...headings].map(([, title]) => title!.toLowerCase().replaceAll(/[^\p{L}\p{N} _-]/gu, '').replaceAll(' ', '-'))
}

/**
 * A folder with files, the packed npm package and its peer dependencies.
 *
 * @param orpc - The version of oRPC. Default: the installed one.
 */
export async function createProject(
  files: Map<string, string>,
  packed: PackedPackage,
  orpc?: string,
): Promise<{ folder: string; dispose(): Promise<void> }> {
  const folder = await mkdtemp(join(await realpath(tmpdir()), 'document-'))
  const installed = join(folder, 'node_modules')
  await mkdir(join(installed, '@types'), { recursive: true })
  if (orpc !== undefined) await linkOrpc(installed, orpc)
  const linked = ['@cloudflare', '@tanstack', '@types/node', '@types/react', 'react', ...(orpc === undefined ? ['@orpc'] : [])]
  for (const name of linked) await symlink(join(modules, name), join(installed, name))
  await cp(packed.folder, join(installed, 'durable-event-iterator'), { recursive: true })
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }')
  for (const [name, content] of files) await writeFile(join(folder, name), content)
  return { folder, dispose: () => rm(folder, { recursive: true, force: true }) }
}

/** The compiler's errors for a folder, in strict mode and with the types of Workers. */
export async function compile(folder: string): Promise<string[]> {
  const compilerOptions = {
    target: 'es2022',
    lib: ['es2022', 'esnext.disposable'],
    module: 'nodenext',
    types: ['@cloudflare/workers-types'],
    strict: true,
    noUncheckedIndexedAccess: true,
    noUnusedLocals: true,
    skipLibCheck: true,
    jsx: 'react-jsx',
    noEmit: true,
  }
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*.ts', '*.tsx'] }))
  const { stdout } = await run(process.execPath, [join(modules, 'typescript/bin/tsc'), '-p', folder]).catch((error) => error)
  return stdout.split('\n').filter((line: string) => line !== '')
}
