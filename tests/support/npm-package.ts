// The npm packages as users install them: packed by `npm pack`.

import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { cp, mkdir, rm, symlink } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))

/** A packed and unpacked npm package. */
export interface PackedPackage {
  name: string
  tarball: string
  /** The paths in the package. */
  files: string[]
  /** The unpacked package. */
  folder: string
}

/** The built generic Worker, which the package contains. */
const worker = 'build'

/**
 * Packs an npm package into a folder and unpacks it there.
 *
 * It packs a copy, because packing builds, and test files that pack run at the same time.
 *
 * @throws {Error} If the core or the generic Worker is not built. The error contains the command that builds it.
 */
export async function packNpmPackage(folder: string, packageName = 'durable-event-iterator'): Promise<PackedPackage> {
  const source = join('npm', packageName)
  const copy = join(folder, 'repository')
  await mkdir(copy)
  const isSource = (path: string): boolean => basename(path) !== 'dist' && !path.endsWith('.tgz')
  await cp(join(root, source), join(copy, source), { recursive: true, filter: isSource })
  if (existsSync(join(root, worker))) await cp(join(root, worker), join(copy, worker), { recursive: true })
  await cp(join(root, 'tsconfig.json'), join(copy, 'tsconfig.json'))
  await symlink(join(root, 'node_modules'), join(copy, 'node_modules'), 'junction')
  const { stdout } = await run('npm', ['pack', '--json', '--silent', '--pack-destination', folder], { cwd: join(copy, source) })
  // The output of the build comes first.
  const [{ name, filename, files }]: [{ name: string; filename: string; files: { path: string }[] }] = JSON.parse(
    stdout.slice(stdout.indexOf('[\n')),
  )
  await rm(copy, { recursive: true })
  const tarball = join(folder, filename)
  await run('tar', ['-xzf', tarball], { cwd: folder })
  return { name, tarball, files: files.map(({ path }) => path), folder: join(folder, 'package') }
}

/** Links the packages of a version of oRPC. Those below `@orpc/server` are those that it uses itself. */
export async function linkOrpc(installed: string, version: string): Promise<void> {
  const server = join(root, 'node_modules', `orpc-server-${version}`)
  await mkdir(join(installed, '@orpc'))
  await symlink(server, join(installed, '@orpc', 'server'))
  for (const name of ['client', 'contract']) await symlink(join(server, 'node_modules', '@orpc', name), join(installed, '@orpc', name))
}
