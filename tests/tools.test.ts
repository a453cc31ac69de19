// The tools of TypeScript users: wrangler, Vite and vitest with Cloudflare's plugins, and the compiler. They run on the projects of
// `tests/projects` with the packed npm package, and without a Rust toolchain.

import { mkdtemp, readdir, readFile, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { Client, token } from './support/client.ts'
import { packNpmPackage } from './support/npm-package.ts'
import type { PackedPackage } from './support/npm-package.ts'
import { createProject, PUBLISH_KEY, useRooms, useRoomsOfOrpc2 } from './support/project.ts'
import type { Project } from './support/project.ts'

/** A tool compiles and starts a runtime, in milliseconds. */
const TIMEOUT = 120_000

let folder: string
let packed: PackedPackage
beforeAll(async () => {
  folder = await mkdtemp(join(await realpath(tmpdir()), 'npm-package-'))
  packed = await packNpmPackage(folder)
}, TIMEOUT)
afterAll(() => rm(folder, { recursive: true, force: true }))

/** Publishes over HTTP to a client of the project `channels`. */
async function useChannels({ host }: { host: string }): Promise<void> {
  const client = await Client.connect(`ws://${host}/?token=${await token({ chn: 'some-room' })}`)
  const subscription = await client.subscribe()
  const url = `http://${host}/channels/some-room/events`
  const published = await fetch(url, { method: 'POST', headers: { authorization: `Bearer ${PUBLISH_KEY}` }, body: '{"message":"Hello"}' })
  expect(published.status).toBe(201)
  expect(await subscription.count(1)).toEqual([{ message: 'Hello' }])
  client.close()
}

describe.each([
  { name: 'rooms', title: 'classes in TypeScript', useAt: useRooms },
  { name: 'rooms-orpc-v2', title: 'a class in TypeScript with oRPC 2.x', useAt: useRoomsOfOrpc2, orpc: '2.0.0-beta.16' },
  { name: 'channels', title: 'the generic Worker', useAt: useChannels },
])('the project $name: $title', ({ name, useAt, orpc }) => {
  let project: Project
  beforeAll(async () => {
    project = await createProject(name, packed, orpc)
  })
  const use = (host: string): Promise<void> => useAt({ host, project })
  afterAll(() => project.dispose())

  test('wrangler dev', async () => {
    const server = await project.serve('Ready on', 'wrangler', 'dev', '--inspector-port', '0')
    await use(server.host).finally(server.stop)
  }, TIMEOUT)

  test('wrangler deploy, dry run', async () => {
    const output = await project.run('wrangler', 'deploy', '--dry-run')
    expect(output).not.toMatch(/\[(WARNING|ERROR)\]/)
    const [, kibibytes] = /Total Upload: .* \/ gzip: ([\d.]+) KiB/.exec(output)!
    // The limit of Cloudflare’s free plan is 3 MB. The inspector is 31 KB of it.
    expect(Number(kibibytes)).toBeLessThan(480)
  }, TIMEOUT)

  test('the development server of Vite', async () => {
    const server = await project.serve('Local:', 'vite', '--strictPort')
    await use(server.host).finally(server.stop)
  }, TIMEOUT)

  test('a build of Vite, and its preview', async () => {
    expect(await project.run('vite', 'build')).not.toMatch(/warning|not exported/i)
    const files = await readdir(join(project.folder, 'dist'), { recursive: true })
    expect(files.filter((file) => file.endsWith('.wasm'))).toEqual([expect.stringMatching(/^(rooms|channels)\/assets\//)])
    const server = await project.serve('Local:', 'vite', 'preview', '--strictPort')
    await use(server.host).finally(server.stop)
  }, TIMEOUT)

  if (orpc === undefined) test("vitest with Cloudflare's plugin", async () => {
    expect(await project.run('vitest', 'run')).toContain('Test Files')
  }, TIMEOUT)

  test('the types, after `wrangler types`', async () => {
    await project.run('wrangler', 'types')
    const generated = await readFile(join(project.folder, 'worker-configuration.d.ts'), 'utf8')
    expect(generated).toContain('DurableObjectNamespace<import("./src/index").')
    const output = await project.run('tsc', '--pretty', 'false').catch((error: Error) => error.message)
    // Without those of oRPC, which import a package that is not installed.
    const complaints = output.split('\n').filter((line) => /: error TS/.test(line) && !line.includes('/@orpc/'))
    expect(complaints).toEqual([])
    if (name !== 'rooms') return
    // A page that has only the types of browsers uses the declarations of the Worker. One that imports its sources also needs the
    // types of Workers.
    await project.run('tsc', '--project', 'tsconfig.types.json')
    await project.run('tsc', '--project', 'page')
    await project.run('tsc', '--project', 'page/tsconfig.sources.json')
  }, TIMEOUT)
})
