// The TypeScript and JavaScript of the documentation compiles. Its Rust is compiled as doctests and by `tests/worker/build.rs`.

import { mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { createORPCClient } from '@orpc/client'
import type { NestedClient } from '@orpc/client'
import { RPCLink } from '@orpc/client/fetch'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { DurableEventIteratorLinkPlugin } from '../npm/durable-event-iterator/src/orpc-v1/index.ts'
import { SIGNING_KEY } from './support/client.ts'
import { blocksOf, compile, createProject, documents, filesOf, headingsOf, linksOf, relativeLinksOf } from './support/documents.ts'
import { packNpmPackage } from './support/npm-package.ts'
import type { PackedPackage } from './support/npm-package.ts'
import { startWorkers } from './support/workerd.ts'

let folder: string
let packed: PackedPackage
beforeAll(async () => {
  folder = await mkdtemp(join(await realpath(tmpdir()), 'npm-package-'))
  packed = await packNpmPackage(folder)
})
afterAll(() => rm(folder, { recursive: true }))

test.each([
  ['README.md', 'room.ts'],
  ['docs/getting-started.md', 'worker.ts'],
  ['docs/client.md', 'page.ts'],
  ['docs/generic-worker.md', 'index.ts'],
  ['docs/http.md', 'worker.ts'],
  ['docs/inspector.md', 'worker.ts'],
  ['docs/local-development.md', 'page.ts'],
  ['docs/migrating-from-orpc.md', 'worker.ts'],
  ['docs/react.md', 'chat.tsx'],
  ['docs/rust-durable-object.md', 'todo.ts'],
  ['docs/typescript-durable-object.md', 'room.ts'],
  ['docs/presence.md', 'room.ts'],
  ['docs/tabs.md', 'page.ts'],
  ['docs/which-api.md', 'procedures.ts'],
])('the TypeScript of %s compiles in strict mode', async (document, file) => {
  const files = await filesOf(document)
  expect([...files.keys()]).toContain(file)
  const project = await createProject(files, packed)
  expect(await compile(project.folder)).toEqual([])
  await project.dispose()
})

test.each([undefined, '2.0.0-beta.16'])('the steps to oRPC 2.x of docs/migrating-from-orpc.md compile with %s', async (version) => {
  const files = await filesOf('docs/migrating-from-orpc.md', '2.x')
  expect([...files.keys()]).toEqual(['shop.ts', 'client.ts'])
  // The Durable Object and the server compile with both versions, but links differ.
  if (version === undefined) files.delete('client.ts')
  const project = await createProject(files, packed, version)
  expect(await compile(project.folder)).toEqual([])
  await project.dispose()
})

/** Declarations for the JavaScript of docs/generic-worker.md. */
const SURROUNDINGS = `
import type { ChannelStub } from 'durable-event-iterator/durable-object'
declare const env: { CHANNEL: DurableObjectNamespace<ChannelStub<object>> }
`

test('the JavaScript of docs/generic-worker.md compiles, comments included', async () => {
  const blocks = await blocksOf('docs/generic-worker.md', 'js')
  expect(blocks.length).toBeGreaterThan(0)
  const uses = blocks.flatMap((block) => [...block.matchAll(/publish\(event, \{.*?\}\)/g)].map(([use]) => use))
  expect(uses.length).toBeGreaterThan(0)
  // Comments contain placeholders for ids and tags.
  const commented = uses.map((use, index) => {
    const call = use.replace('[ids], tags: [tags]', "['id'], tags: ['tag']").replace('[ids]', "['id']")
    return `const event = {}; export const use${index} = env.CHANNEL.getByName('some-room').${call}`
  })
  const code = blocks.map((block) => `${block}\nexport const used = id`)
  const files = new Map([...code, ...commented].map((content, index) => [`block${index}.ts`, `${SURROUNDINGS}${content}`]))
  const project = await createProject(files, packed)
  expect(await compile(project.folder)).toEqual([])
  await project.dispose()
})

/** Runs the Rust Worker of a document, and passes a client of it to `use`. */
async function withWorker(
  document: string,
  binding: { name: string; className: string; upgrade: string },
  // A client of any procedures: the router is in Rust.
  use: (client: any) => Promise<void>,
): Promise<void> {
  const durableObjects = { [binding.name]: { className: binding.className } }
  const variables = { SIGNING_KEY, DOCUMENT: document }
  const workers = await startWorkers({ workers: [{ name: 'document', crate: 'tests/worker', variables, durableObjects }] })
  const url = new URL(binding.upgrade, workers.url.href.replace('http', 'ws')).href
  const link = new RPCLink({ url: new URL('/rpc', workers.url), plugins: [new DurableEventIteratorLinkPlugin({ url })] })
  try {
    await use(createORPCClient<NestedClient<Record<never, never>>>(link))
  } finally {
    await workers.dispose()
  }
}

test('the Worker in Rust of docs/getting-started.md delivers events of the server and of a client', async () => {
  const binding = { name: 'CHAT_ROOM', className: 'GettingStartedRoom', upgrade: '/events' }
  await withWorker('docs/getting-started.md', binding, async (client) => {
    const iterator = await client.onMessage()
    await client.sendMessage({ message: 'Hello from the server' })
    await iterator.say({ message: 'Hello from the client' })
    expect((await iterator.next()).value).toEqual({ message: 'Hello from the server' })
    expect((await iterator.next()).value).toEqual({ message: 'Hello from the client' })
    await iterator.return()
  })
})

test('the Worker in Rust of docs/migrating-from-orpc.md delivers events and calls', async () => {
  const binding = { name: 'CHAT_ROOM', className: 'ChatRoom', upgrade: '/chat-room' }
  await withWorker('docs/migrating-from-orpc.md', binding, async (client) => {
    const [author, reader] = [await client.onMessage(), await client.onMessage()]
    await author.publishMessage({ message: 'Hello, everybody else!' })
    await client.sendMessage({ message: 'Hello, world!' })
    expect((await reader.next()).value).toEqual({ message: 'user-123: Hello, everybody else!' })
    expect((await author.next()).value).toEqual({ message: 'Hello, world!' })
    expect(await author.router.ping()).toBe('pong')
    expect(await author.router.echo({ text: 'Hello' })).toBe('Echo: Hello')
    await Promise.all([author.return(), reader.return()])
  })
})

test('the Worker of docs/rust-durable-object.md sends a snapshot, then changes', async () => {
  const binding = { name: 'TODO_LISTS', className: 'TodoLists', upgrade: '/events' }
  await withWorker('docs/rust-durable-object.md', binding, async (client) => {
    const first = await client.onChange('shopping')
    await first.add(' milk ')
    expect((await first.next()).value).toEqual({ type: 'snapshot', items: [] })
    expect((await first.next()).value).toEqual({ type: 'added', item: 'milk' })
    await expect(first.add(' ')).rejects.toMatchObject({ code: 'BAD_REQUEST', message: 'item must have 1–200 characters, got 0' })
    await first.return()
    const second = await client.onChange('shopping')
    expect((await second.next()).value).toEqual({ type: 'snapshot', items: ['milk'] })
    await second.return()
  })
})

test('every link between documents leads to a file and a heading', async () => {
  const broken: string[] = []
  for (const document of await documents()) {
    for (const { text, file, heading } of await linksOf(document)) {
      const headings = await headingsOf(file)
      if (headings === undefined || (heading !== undefined && !headings.includes(heading))) broken.push(`${document}: ${text}`)
    }
  }
  expect(broken).toEqual([])
})

test('the README of a package links to the repository by URL', async () => {
  const readmes = (await documents()).filter((document) => /^(crates|npm)\//.test(document))
  expect(readmes).toContain('npm/durable-event-iterator/README.md')
  for (const readme of readmes) expect(await relativeLinksOf(readme), readme).toEqual([])
})
