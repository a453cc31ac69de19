// The package as users receive it: packed, installed, compiled and run.

import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, realpath, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'

import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { SIGNING_KEY } from '../support/client.ts'
import { startJournals } from '../support/journals.ts'
import type { Journals } from '../support/journals.ts'
import { packNpmPackage } from '../support/npm-package.ts'
import type { PackedPackage } from '../support/npm-package.ts'
import { useRooms } from '../support/project.ts'
import { startWorkers } from '../support/workerd.ts'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))
const modules = join(root, 'node_modules')

let folder: string
let packed: PackedPackage
let journals: Journals
beforeAll(async () => {
  folder = await mkdtemp(join(await realpath(tmpdir()), 'package-'))
  packed = await packNpmPackage(folder)
  journals = await startJournals()
})
afterAll(async () => {
  await journals.dispose()
  await rm(folder, { recursive: true, force: true })
})

/** A server and a client of an application: oRPC's example with another import path. */
const EXAMPLE = `
import { createServer } from 'node:http'

import { createORPCClient } from '@orpc/client'
import { RPCLink } from '@orpc/client/fetch'
import { os } from '@orpc/server'
import { RPCHandler } from '@orpc/server/node'
import { DurableEventIterator, DurableEventIteratorHandlerPlugin } from 'durable-event-iterator'
import { DurableEventIteratorLinkPlugin } from 'durable-event-iterator/orpc-v1'

const { SIGNING_KEY, ROOM_URL, STUB_URL } = process.env

const router = {
  onMessage: os.handler(() => new DurableEventIterator('some-room', { signingKey: SIGNING_KEY }).rpc('whoAmI')),
  sendMessage: os.handler(async ({ input }) => {
    const body = JSON.stringify({ binding: 'USUAL', channel: 'some-room', method: 'publish', args: [input] })
    await fetch(STUB_URL, { method: 'POST', body })
  }),
}
const handler = new RPCHandler(router, { plugins: [new DurableEventIteratorHandlerPlugin()] })
const server = createServer((request, response) => handler.handle(request, response, { prefix: '/rpc', context: {} }))
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))

const link = new RPCLink({
  url: 'http://127.0.0.1:' + server.address().port + '/rpc',
  plugins: [
    new DurableEventIteratorLinkPlugin({
      url: ROOM_URL,
    }),
  ],
})
const client = createORPCClient(link)

const iterator = await client.onMessage()
await client.sendMessage({ message: 'Hello, world!' })

for await (const { message } of iterator) {
  console.log('Received message:', message)
  break
}
server.close()
server.closeAllConnections()
`

/** The same with `DurableIterator`, which differs only in the names. */
const SECOND_EXAMPLE = EXAMPLE.replaceAll('DurableEventIterator', 'DurableIterator')

/** The same with oRPC 2.x, whose links have an origin and a path. */
const forOrpc2 = (example: string): string =>
  example
    .replace('durable-event-iterator/orpc-v1', 'durable-event-iterator/orpc-v2')
    .replace("url: 'http://127.0.0.1:' + server.address().port + '/rpc'", "origin: 'http://127.0.0.1:' + server.address().port, url: '/rpc'")

async function runExample(project: string, example = EXAMPLE): Promise<string> {
  await writeFile(join(project, 'example.mjs'), example)
  const env = {
    ...process.env,
    SIGNING_KEY,
    ROOM_URL: new URL('/upgrade/USUAL', journals.url).href.replace('http', 'ws'),
    STUB_URL: (await journals.urlOf('caller')).href,
  }
  // The process ends by itself: nothing is left open.
  const { stdout, stderr } = await run(process.execPath, ['example.mjs'], { cwd: project, env, timeout: 20_000 })
  expect(stderr).toBe('')
  return stdout
}

/** Returns the errors of the compiler. */
async function compile(project: string, options: object = {}): Promise<string[]> {
  const compilerOptions = {
    target: 'es2022',
    lib: ['es2022', 'dom', 'dom.iterable', 'esnext.disposable'],
    module: 'nodenext',
    types: [],
    strict: true,
    noEmit: true,
    ...options,
  }
  await writeFile(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*.ts'] }))
  const { stdout } = await run(process.execPath, [join(modules, 'typescript/bin/tsc'), '-p', project]).catch((error) => error)
  return stdout.split('\n').filter((line: string) => line !== '')
}

/** The compiled parts, and the types of the generic Worker. */
const COMPILED = [
  'core/build/index.js',
  'core/build/index_bg.wasm',
  'worker/build/index.js',
  'worker/build/index_bg.wasm',
  'worker/worker.d.ts',
]

test('it contains the code, the types, the compiled parts, the README and the licenses, and nothing else', () => {
  const paths = packed.files
  for (const file of ['package.json', 'README.md', 'LICENSE-MIT', 'LICENSE-APACHE', ...COMPILED]) expect(paths).toContain(file)
  for (const entry of ['index', 'client/index', 'durable-object/index', 'http/index', 'react/index', 'stub/index', 'worker/index']) {
    expect(paths).toContain(`dist/${entry}.js`)
    expect(paths).toContain(`dist/${entry}.d.ts`)
  }
  const others = paths.filter((path) => !/^(dist\/.*\.(js|d\.ts)|package\.json|README\.md|LICENSE-(MIT|APACHE))$/.test(path))
  expect(others.sort()).toEqual(COMPILED)
})

test('it contains no machine paths', async () => {
  const contents = await Promise.all(packed.files.map((path) => readFile(join(packed.folder, path), 'latin1')))
  for (const path of [root, `${homedir()}/`, folder]) {
    expect(packed.files.filter((_, index) => contents[index]!.includes(path)), path).toEqual([])
  }
})

test('its tarball has about the size that its README states', async () => {
  const readme = await readFile(join(root, 'npm/durable-event-iterator/README.md'), 'utf8')
  const stated = Number(/tarball has about ([\d,]+) KB/.exec(readme)?.[1]?.replace(',', ''))
  const kilobytes = (await stat(packed.tarball)).size / 1000
  expect(kilobytes).toBeGreaterThan(stated * 0.9)
  // Builds for development, without optimizations of the linker, are a third larger.
  expect(kilobytes).toBeLessThan(stated * 1.4)
})

test('packing fails with the command to run if a compiled part is not built', async () => {
  const copy = join(folder, 'unbuilt')
  await cp(join(root, 'npm/durable-event-iterator'), join(copy, 'npm/durable-event-iterator'), {
    recursive: true,
    filter: (path) => !/(^|[\\/])(build|dist)$/.test(path),
  })
  const failure = await run('npm', ['pack'], { cwd: join(copy, 'npm/durable-event-iterator') }).catch((error) => error)
  expect(failure.stderr).toContain(
    'The package cannot be built, because these parts are not built: the core of the Durable Object classes, the generic Worker. ' +
      'Run this in the root of the repository: npm run build -- npm/durable-event-iterator/core .',
  )
})

test('its public types contain no `any`', async () => {
  const declarations = packed.files.filter((path) => path.endsWith('.d.ts'))
  for (const path of declarations) {
    const text = await readFile(join(packed.folder, path), 'utf8')
    const code = text.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/\/\/.*/g, '')
    expect(code.match(/\bany\b/g) ?? [], path).toEqual([])
  }
})

/** Creates a project with the package and a version of oRPC, in the same layout as npm: one copy of each package. */
async function createProject(version: string): Promise<string> {
  const project = join(folder, `with-${version}`)
  const installed = join(project, 'node_modules')
  // The newest version of 1.x is installed under its own name.
  const server = version === '1.16.1' ? join(modules, '@orpc/server') : join(modules, `orpc-server-${version}`)
  const beside = version === '1.16.1' ? join(modules, '@orpc') : join(server, 'node_modules/@orpc')
  await mkdir(join(installed, '@orpc'), { recursive: true })
  await mkdir(join(installed, '@types'), { recursive: true })
  await symlink(server, join(installed, '@orpc/server'))
  await symlink(join(beside, 'client'), join(installed, '@orpc/client'))
  await symlink(join(beside, 'contract'), join(installed, '@orpc/contract'))
  for (const name of ['@types/node', '@types/react', '@cloudflare', 'react']) await symlink(join(modules, name), join(installed, name))
  await cp(packed.folder, join(installed, 'durable-event-iterator'), { recursive: true })
  await writeFile(join(project, 'package.json'), '{ "type": "module" }')
  expect(JSON.parse(await readFile(join(installed, '@orpc/client/package.json'), 'utf8')).version).toBe(version)
  return project
}

/** Bundles an entry of the package with oRPC, most of which an application with an RPCLink already contains. */
async function bundleForBrowsers(project: string, entry: string): Promise<void> {
  const { metafile, outputFiles, warnings } = await build({
    stdin: { contents: `export * from 'durable-event-iterator/${entry}'`, resolveDir: project },
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    platform: 'browser',
    metafile: true,
  })
  expect(warnings).toEqual([])
  const { text } = outputFiles[0]!
  expect(text).not.toContain('orpc/server')
  const inputs = Object.keys(metafile.inputs)
  expect(inputs.filter((path) => /durable-event-iterator\/(core|worker|dist\/(durable-object|worker))\//.test(path))).toEqual([])
  expect(gzipSync(text).length).toBeLessThan(20_000)
}

/** Compiles a file of type tests with the package. */
async function compileTypes(project: string, file: string): Promise<void> {
  const source = await readFile(new URL(file, import.meta.url), 'utf8')
  const imported = source
    .replaceAll(/(\.\.\/)+npm\/durable-event-iterator\/src\/index\.ts/g, 'durable-event-iterator')
    .replaceAll(/(?:\.\.\/)+npm\/durable-event-iterator\/src\/([\w-]+)\/index\.ts/g, 'durable-event-iterator/$1')
  expect(imported).not.toContain('npm/durable-event-iterator/src')
  await writeFile(join(project, 'types.ts'), imported)
  expect(await compile(project, { skipLibCheck: true })).toEqual([])
  const bundled = { exactOptionalPropertyTypes: true, module: 'preserve', moduleResolution: 'bundler' }
  expect(await compile(project, { skipLibCheck: true, ...bundled })).toEqual([])
}

describe.each(['1.6.6', '1.8.8', '1.9.4', '1.14.6', '1.16.1'])('with oRPC %s', (version) => {
  let project: string
  beforeAll(async () => {
    project = await createProject(version)
  })

  test('the example runs with both kinds of iterators', async () => {
    expect(await runExample(project)).toBe('Received message: Hello, world!\n')
    expect(await runExample(project, SECOND_EXAMPLE)).toBe('Received message: Hello, world!\n')
  })

  test('it bundles for browsers without a warning, and without the server', () => bundleForBrowsers(project, 'orpc-v1'))

  test('the classes run with it', async () => {
    await cp(join(root, 'tests/projects/rooms/src'), join(project, 'rooms'), { recursive: true })
    const { outputFiles } = await build({
      entryPoints: [join(project, 'rooms/index.ts')],
      bundle: true,
      write: false,
      format: 'esm',
      external: ['cloudflare:*', '*.wasm'],
    })
    const wasm = { 'index_bg.wasm': 'npm/durable-event-iterator/core/build/index_bg.wasm' }
    const durableObjects = { CHAT_ROOM: { className: 'ChatRoom' }, NOTES: { className: 'Notes' } }
    const source = outputFiles[0]!.text
    const rooms = await startWorkers({ workers: [{ name: 'rooms', source, wasm, variables: { SIGNING_KEY }, durableObjects }] })
    await useRooms(rooms.url).finally(() => rooms.dispose())
  })

  test('the type tests compile', () => compileTypes(project, 'types.ts'))
})

describe('with oRPC 2.0.0-beta.16', () => {
  let project: string
  beforeAll(async () => {
    project = await createProject('2.0.0-beta.16')
  })

  test('the example runs with both kinds of iterators', async () => {
    expect(await runExample(project, forOrpc2(EXAMPLE))).toBe('Received message: Hello, world!\n')
    expect(await runExample(project, forOrpc2(SECOND_EXAMPLE))).toBe('Received message: Hello, world!\n')
  })

  test('it bundles for browsers without a warning, and without the server', () => bundleForBrowsers(project, 'orpc-v2'))

  test('the type tests compile', () => compileTypes(project, 'orpc-v2/types.ts'))

  test('its declarations compile', async () => {
    await writeFile(join(project, 'types.ts'), "import 'durable-event-iterator'\nimport 'durable-event-iterator/orpc-v2'\n")
    expect((await compile(project)).filter((line) => line.includes('durable-event-iterator'))).toEqual([])
  })
})

test('a Worker that only reaches stubs contains no core, and `stub` also runs in Node.js', async () => {
  const resolveDir = join(folder, 'with-1.16.1')
  const contents = "export { callStub, upgradeDurableIteratorRequest } from 'durable-event-iterator/stub'"
  const { metafile } = await build({ stdin: { contents, resolveDir }, bundle: true, write: false, format: 'esm', metafile: true })
  expect(Object.keys(metafile.inputs).filter((path) => /durable-event-iterator\/(core|worker)\//.test(path))).toEqual([])
  await writeFile(join(resolveDir, 'stub.mjs'), `${contents}\nconsole.log('imported')`)
  expect((await run(process.execPath, ['stub.mjs'], { cwd: resolveDir })).stdout).toBe('imported\n')
})

test('its declarations compile with the types of Workers', async () => {
  const project = join(folder, 'with-1.16.1')
  const entries = ['', '/client', '/durable-object', '/react', '/stub', '/worker'].map((path) => `import 'durable-event-iterator${path}'`)
  await writeFile(join(project, 'entries.ts'), entries.join('\n'))
  const options = { lib: ['es2022', 'esnext.disposable'], types: ['@cloudflare/workers-types'], skipLibCheck: false }
  const complaints = await compile(project, options)
  expect(complaints.filter(isOurs)).toEqual([])
})

/** Whether a complaint is not about oRPC, whose declarations import a package that is not installed. */
const isOurs = (complaint: string): boolean => !complaint.startsWith('node_modules/@orpc/') && !complaint.includes('/node_modules/@orpc/')

test('a Worker compiles with the types of Workers', async () => {
  const project = join(folder, 'worker')
  await mkdir(project)
  await symlink(join(folder, 'with-1.16.1', 'node_modules'), join(project, 'node_modules'))
  await writeFile(
    join(project, 'worker.ts'),
    `import { upgradeDurableEventIteratorRequest } from 'durable-event-iterator/durable-object'

interface Env {
  SIGNING_KEY: string
  CHAT_ROOM: DurableObjectNamespace
}

export default {
  async fetch(request, env) {
    const url = new URL(request.url)

    if (url.pathname === '/chat-room') {
      return upgradeDurableEventIteratorRequest(request, {
        signingKey: env.SIGNING_KEY,
        namespace: env.CHAT_ROOM,
      })
    }

    return new Response('Not Found', { status: 404 })
  },
} satisfies ExportedHandler<Env>
`,
  )
  await writeFile(join(project, 'package.json'), '{ "type": "module" }')
  expect(await compile(project, { lib: ['es2022'], types: ['@cloudflare/workers-types'], skipLibCheck: true })).toEqual([])
})

/** Declarations for the snippets of the README. */
const SURROUNDINGS = `
import { os } from '@orpc/server'
import type { RouterClient } from '@orpc/server'
import { RPCHandler } from '@orpc/server/fetch'
const base = os.$context<{ env: { SIGNING_KEY: string }; user: { id: string } }>()
declare const showState: (state: string) => void
declare const reloadHistory: () => void
declare const isBanned: (attachment: unknown) => boolean
interface Env {
  SIGNING_KEY: string
  CHAT_ROOM: DurableObjectNamespace
}
`

test('every snippet of the README compiles', async () => {
  const project = join(folder, 'readme')
  await mkdir(project)
  await symlink(join(folder, 'with-1.16.1', 'node_modules'), join(project, 'node_modules'))
  await writeFile(join(project, 'package.json'), '{ "type": "module" }')
  const readme = await readFile(join(root, 'npm/durable-event-iterator/README.md'), 'utf8')
  const snippets = [...readme.matchAll(/^```ts\n([\s\S]*?)^```/gm)].map(([, code]) => code!)
  expect(snippets.length).toBeGreaterThan(3)
  for (const [index, snippet] of snippets.entries()) {
    const needsRouter = snippet.includes('typeof router') ? "import type { router } from './snippet-0.js'\n" : ''
    const needsRoom = snippet.includes('subscribe<ChatRoom>') ? "import type { ChatRoom } from './snippet-0.js'\n" : ''
    await writeFile(join(project, `snippet-${index}.ts`), `${SURROUNDINGS}${needsRouter}${needsRoom}${snippet}`)
  }
  const options = { lib: ['es2022', 'esnext.disposable'], types: ['@cloudflare/workers-types'], skipLibCheck: true }
  expect(await compile(project, options)).toEqual([])
})

test('npm installs it into an empty project, where the example runs', async () => {
  const project = join(folder, 'empty')
  await mkdir(project)
  await writeFile(join(project, 'package.json'), '{ "type": "module", "private": true }')
  const args = ['install', '--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts', packed.tarball, '@orpc/client@1.16.1', '@orpc/server@1.16.1', '@orpc/contract@1.16.1']
  // From npm's cache if possible, which the setup of the project has filled.
  await run('npm', args, { cwd: project, timeout: 100_000 })
  const { dependencies } = JSON.parse((await run('npm', ['ls', '--json', '--all'], { cwd: project })).stdout)
  const installed = Object.entries<{ version?: string }>(dependencies['durable-event-iterator'].dependencies)
  // npm lists missing optional peer dependencies too, without a version.
  expect(installed.flatMap(([name, { version }]) => (version === undefined ? [] : [name])).sort()).toEqual([
    '@orpc/client', '@orpc/contract', '@orpc/server',
  ])
  expect(await runExample(project)).toBe('Received message: Hello, world!\n')
}, 120_000)
