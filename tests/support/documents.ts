// Code that stands in documents, as projects of their own that import the package under its name.

import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))
const modules = join(root, 'node_modules')

/** The blocks of a document in a language, in their order. */
export async function blocksOf(document: string, language: string): Promise<string[]> {
  const text = await readFile(join(root, document), 'utf8')
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\n([\\s\\S]*?)^\`\`\``, 'gm'))].map(([, code]) => code!)
}

/** The blocks that begin with a file's name, by that name; throws when there is one without. */
export async function filesOf(document: string): Promise<Map<string, string>> {
  const files = new Map<string, string>()
  for (const block of await blocksOf(document, 'ts')) {
    const name = /^\/\/ (\w+\.ts)\n/.exec(block)?.[1]
    if (name === undefined || files.has(name)) throw new Error(`${document}: a block has no name of its own:\n${block}`)
    files.set(name, block)
  }
  return files
}

/** A folder with files, the package as it is published, and what it needs. */
export async function createProject(files: Map<string, string>): Promise<{ folder: string; dispose(): Promise<void> }> {
  const folder = await mkdtemp(join(await realpath(tmpdir()), 'document-'))
  const installed = join(folder, 'node_modules')
  await mkdir(join(installed, 'durable-event-iterator'), { recursive: true })
  await mkdir(join(installed, '@types'))
  for (const name of ['@orpc', '@cloudflare', '@types/node']) await symlink(join(modules, name), join(installed, name))
  const dist = join(installed, 'durable-event-iterator/dist')
  await cp(join(root, 'npm/package.json'), join(installed, 'durable-event-iterator/package.json'))
  await run(process.execPath, [join(modules, 'typescript/bin/tsc'), '-p', join(root, 'npm'), '--outDir', dist])
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }')
  for (const [name, content] of files) await writeFile(join(folder, name), content)
  return { folder, dispose: () => rm(folder, { recursive: true, force: true }) }
}

/** What the compiler complains about in a folder, strictly and with the types of Workers. */
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
    noEmit: true,
  }
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*.ts'] }))
  const { stdout } = await run(process.execPath, [join(modules, 'typescript/bin/tsc'), '-p', folder]).catch((error) => error)
  return stdout.split('\n').filter((line: string) => line !== '')
}
