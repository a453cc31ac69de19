// The packages that are published: their metadata, versions and files. `scripts/package.mjs` packs the crates.

import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { describe, expect, test } from 'vitest'

import { documents, repositoryUrl } from './support/documents.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const read = (...path: string[]): string => readFileSync(join(root, ...path), 'utf8')

interface Crate {
  name: string
  version: string
  description: string | null
  license: string | null
  repository: string | null
  readme: string | null
  rust_version: string | null
  keywords: string[]
  categories: string[]
  metadata: { docs?: { rs?: { targets?: string[]; 'default-target'?: string } } } | null
  /** Null: it may be published anywhere. */
  publish: string[] | null
  dependencies: { name: string; req: string; kind: 'dev' | 'build' | null; path?: string }[]
}

const metadata = execFileSync('cargo', ['metadata', '--locked', '--no-deps', '--format-version', '1'], { cwd: root, encoding: 'utf8', maxBuffer: 2 ** 26 })
const crates: Crate[] = JSON.parse(metadata).packages
const published = crates.filter(({ publish }) => publish === null)

const npmPackages = readdirSync(join(root, 'npm')).map((folder) => ({ folder: `npm/${folder}`, json: JSON.parse(read('npm', folder, 'package.json')) }))

/** The value of a key in the `[workspace.package]` of Cargo.toml. */
const inWorkspace = (key: string): string => new RegExp(`^\\[workspace\\.package\\]\\n(?:.+\\n)*?${key} = "(.*)"`, 'm').exec(read('Cargo.toml'))![1]!
const version = inWorkspace('version')

test('the published crates are those of the library', () => {
  expect(published.map(({ name }) => name).sort()).toEqual([
    'durable-event-iterator',
    'durable-event-log',
    'durable-event-test',
    'durable-event-token',
    'durable-event-wire',
  ])
})

describe.each(published)('the crate $name', (crate) => {
  test('has the metadata that crates.io and docs.rs show', async () => {
    expect(crate).toMatchObject({ license: 'MIT OR Apache-2.0', readme: 'README.md', repository: await repositoryUrl() })
    expect(crate.description).toMatch(/^.{20,200}\.$/)
    expect(crate.keywords.length).toBeGreaterThan(2)
    expect(crate.keywords.length).toBeLessThan(6)
    for (const keyword of crate.keywords) expect(keyword).toMatch(/^[a-z0-9][a-z0-9_+-]{0,19}$/)
    expect(crate.categories.length).toBeGreaterThan(0)
    expect(crate.metadata?.docs?.rs?.targets).toBeDefined()
  })

  test('has the version of the workspace, and requires it of the other crates', () => {
    expect(crate.version).toBe(version)
    const siblings = crate.dependencies.filter(({ path }) => path !== undefined)
    expect(siblings.map(({ req }) => req)).toEqual(siblings.map(() => `^${version}`))
  })

  test('pins no dependency to one version', () => {
    for (const { name, req } of crate.dependencies) expect(req, name).toMatch(/^\^\d+(\.\d+)+$/)
  })

  test('is packed with its README and licenses, and without tests and machine paths', () => {
    const folder = join('target/packed', crate.name)
    const files = readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(join(root, folder).length + 1))
    for (const file of ['Cargo.toml', 'README.md', 'src/lib.rs']) expect(files).toContain(file)
    for (const license of ['LICENSE-MIT', 'LICENSE-APACHE']) expect(read(folder, license)).toBe(read(license))
    const expected = /^(src\/.+\.(css|html|js|rs|sql|svg)|README\.md|LICENSE-(MIT|APACHE)|Cargo\.(toml|toml\.orig|lock)|\.cargo_vcs_info\.json)$/
    expect(files.filter((file) => !expected.test(file))).toEqual([])
    const contents = files.map((file) => read(folder, file))
    for (const path of [root, homedir() + '/']) expect(contents.filter((content) => content.includes(path))).toEqual([])
  })
})

describe.each(npmPackages)('the npm package $json.name', ({ folder, json }) => {
  test('has the version of the crates, and the metadata that the npm registry shows', async () => {
    const repository = { type: 'git', url: `git+${await repositoryUrl()}.git`, directory: folder }
    expect(json).toMatchObject({ version, license: 'MIT OR Apache-2.0', repository, engines: { node: expect.any(String) } })
    expect(json.description).toMatch(/^.{20,200}\.$/)
    expect(json.keywords.length).toBeGreaterThan(2)
  })

  test('has the licenses of the repository', () => {
    for (const license of ['LICENSE-MIT', 'LICENSE-APACHE']) expect(read(folder, license)).toBe(read(license))
  })
})

test('every URL of the repository is the one in Cargo.toml', async () => {
  const repository = await repositoryUrl()
  for (const document of await documents()) {
    const urls = read(document).match(/https:\/\/github\.com\/[\w-]+\/durable-event-iterator/g) ?? []
    expect(urls.filter((url) => url !== repository), document).toEqual([])
  }
})

test('documents and tests install the version of the packages', async () => {
  for (const document of await documents()) {
    const tarballs = read(document).match(/durable-event-iterator-[\d.]+\.tgz/g) ?? []
    expect(tarballs, document).toEqual(tarballs.map(() => `durable-event-iterator-${version}.tgz`))
  }
  expect(read('tests/outside/Cargo.toml')).toContain(`\ndurable-event-iterator = "${version}"\n`)
})

test('the oldest supported Rust is declared by every crate, and documented', () => {
  const oldest = inWorkspace('rust-version')
  const pinned = /^channel = "(\d+\.\d+)\.\d+"$/m.exec(read('rust-toolchain.toml'))![1]
  for (const { name, rust_version } of published) expect(rust_version, name).toBe(oldest)
  expect(read('docs/limits.md')).toContain(`\n| Rust | ${oldest} | ${oldest} (compiles), ${pinned} |\n`)
})
