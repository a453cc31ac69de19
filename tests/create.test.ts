// `npm create durable-event-iterator`, with the packed npm packages and crates, in empty folders outside the repository.
// `node scripts/package.mjs` packs the crates.

import { spawn } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { cp, mkdir, mkdtemp, readdir, readFile, realpath, rm, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseEnv } from 'node:util'

import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

// @ts-expect-error The scripts have no declarations.
import { toolEnvironment } from '../scripts/toolchain.mjs'
import { INSTALL_TIMEOUT as BROWSER_TIMEOUT, launchBrowser } from './support/browser.ts'
import { repositoryUrl } from './support/documents.ts'
import { packNpmPackage } from './support/npm-package.ts'
import type { PackedPackage } from './support/npm-package.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const templates = ['typescript', 'worker', 'rust'] as const
type Template = (typeof templates)[number]

/** In milliseconds. npm takes its packages from its cache if possible. */
const INSTALL_TIMEOUT = 180_000

/** The time limit of the compiler of TypeScript, in milliseconds. */
const CHECK_TIMEOUT = 60_000

/** The time limit for a test that builds the Worker of a template, in milliseconds: the Rust compiler takes minutes. */
const BUILD_TIMEOUT = 600_000

/** Compiled dependencies are shared with the repository, and its tools are used instead of downloads. */
const environment = {
  ...toolEnvironment(),
  CARGO_TARGET_DIR: join(root, 'target'),
  CARGO_INSTALL_ROOT: join(root, '.tools'),
  CARGO_NET_OFFLINE: 'true',
  RUSTFLAGS: '',
  RUSTUP_TOOLCHAIN: /^channel = "(.*)"$/m.exec(await readFile(join(root, 'rust-toolchain.toml'), 'utf8'))![1]!,
  npm_config_prefer_offline: 'true',
  npm_config_audit: 'false',
  npm_config_fund: 'false',
}

let folder: string
let library: PackedPackage
let command: PackedPackage
let browser: Browser
beforeAll(async () => {
  folder = await mkdtemp(join(await realpath(tmpdir()), 'create-'))
  const pack = async (name: string): Promise<PackedPackage> => {
    await mkdir(join(folder, 'packed', name), { recursive: true })
    return packNpmPackage(join(folder, 'packed', name), name)
  }
  library = await pack('durable-event-iterator')
  command = await pack('create-durable-event-iterator')
  const installed = await runIn(folder, 'npm', ['install', '--prefix', join(folder, 'command'), command.tarball])
  expect(installed.status, installed.output).toBe(0)
}, INSTALL_TIMEOUT)
beforeAll(async () => {
  browser = await launchBrowser()
}, BROWSER_TIMEOUT)
afterAll(async () => {
  await browser?.close()
  await rm(folder, { recursive: true, force: true })
})

interface Result {
  status: number
  stdout: string
  stderr: string
  output: string
}

/** Runs a command without a terminal. It fails when it takes too long, together with the processes that it has started. */
async function runIn(cwd: string, program: string, args: readonly string[], timeout = BUILD_TIMEOUT): Promise<Result> {
  const child = spawn(program, args, { cwd, env: environment, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
  const timer = setTimeout(() => process.kill(-child.pid!, 'SIGKILL'), timeout)
  const result: Result = { status: 1, stdout: '', stderr: '', output: '' }
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream].setEncoding('utf8').on('data', (text: string) => {
      result[stream] += text
      result.output += text
    })
  }
  result.status = await new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => resolve(code ?? 1))
  })
  clearTimeout(timer)
  return result
}

async function create(...args: string[]): Promise<Result> {
  return runIn(folder, join(folder, 'command/node_modules/.bin/create-durable-event-iterator'), args)
}

describe('the package', () => {
  test('contains the command, the templates, the README and the licenses, and nothing else', () => {
    const expected = /^(dist\/\w+\.js|templates\/[\w./-]+|package\.json|README\.md|LICENSE-(MIT|APACHE))$/
    expect(command.files.filter((path) => !expected.test(path))).toEqual([])
    for (const file of ['dist/index.js', 'README.md', 'LICENSE-MIT', 'LICENSE-APACHE']) expect(command.files).toContain(file)
    for (const template of templates) expect(command.files).toContain(`templates/${template}/README.md`)
  })
})

describe('the arguments', () => {
  test('--help prints the options and the templates', async () => {
    const { status, stdout } = await create('--help')
    expect(status).toBe(0)
    for (const text of ['--template', '--name', '--yes', ...templates]) expect(stdout).toContain(text)
  })

  test('--version prints the version', async () => {
    const { version } = JSON.parse(await readFile(join(command.folder, 'package.json'), 'utf8'))
    expect(await create('--version')).toMatchObject({ status: 0, stdout: `${version}\n` })
  })

  test.each([
    ['an unknown template', ['app', '--template', 'go'], 2, 'unknown template "go": use typescript, worker, rust'],
    ['an unknown option', ['app', '--color'], 2, "Unknown option '--color': run with --help for the options"],
    ['two folders', ['app', 'other', '-t', 'worker'], 2, 'expected one folder, got 2: app, other'],
    ['no template, without a terminal', ['app'], 2, 'without a terminal, pass --template typescript|worker|rust, or --yes for the defaults'],
    ['no folder, without a terminal', ['-t', 'rust'], 2, 'without a terminal, pass the folder, or --yes for the defaults'],
    ['a folder whose name is not a package name', ['My_App', '-t', 'rust'], 1, 'invalid package name "My_App": expected 1–63 lowercase letters'],
    ['an invalid package name', ['app', '-t', 'rust', '--name', '1-app'], 1, 'invalid package name "1-app"'],
    ['a folder that is not empty', ['.', '-t', 'rust', '--name', 'app'], 1, 'folder . is not empty: choose another folder'],
    ['a file instead of a folder', ['command/package.json', '-t', 'rust', '--name', 'app'], 1, 'command/package.json is a file: choose another folder'],
  ])('%s is rejected', async (_, args, status, message) => {
    const result = await create(...args)
    expect(result).toMatchObject({ status, stdout: '' })
    expect(result.stderr).toContain(`create-durable-event-iterator: ${message}`)
    expect((await readdir(folder)).sort()).toEqual(['command', 'packed'])
  })

  test('--yes creates the default template in the default folder', async () => {
    const { status, stdout } = await create('--yes')
    expect(status).toBe(0)
    expect(stdout).toContain('  cd my-channels\n  npm install\n  npm run dev\n')
    expect(await readdir(join(folder, 'my-channels/src'))).toContain('router.ts')
    await rm(join(folder, 'my-channels'), { recursive: true })
  })

  // The program `script` runs a command in a terminal. Its options differ on other systems.
  test.skipIf(process.platform !== 'linux')('in a terminal, the command asks for the folder and the template', async () => {
    const bin = join(folder, 'command/node_modules/.bin/create-durable-event-iterator')
    const child = spawn('script', ['-qec', `stty cols 80 rows 24; exec ${bin}`, '/dev/null'], { cwd: folder, env: environment })
    let output = ''
    const answers: [question: string, keys: string][] = [['Folder of the project', 'asked\r'], ['Template', '\u001b[B\r']]
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text
      if (answers.length > 0 && output.includes(answers[0]![0])) child.stdin.write(answers.shift()![1])
    })
    expect(await new Promise((resolve) => child.on('close', resolve)), output).toBe(0)
    expect(output).toContain('Created the template worker in asked.')
    expect(await readdir(join(folder, 'asked'))).toContain('.dev.vars')
    await rm(join(folder, 'asked'), { recursive: true })
  })

  test('an empty git repository is a valid folder', async () => {
    await mkdir(join(folder, 'cloned/.git'), { recursive: true })
    expect(await create('cloned', '-t', 'worker')).toMatchObject({ status: 0, stderr: '' })
    await rm(join(folder, 'cloned'), { recursive: true })
  })
})

/** A client of each template, which publishes an event and prints the first one that it receives. */
const firstEvent: Record<Template, string> = {
  worker: `
    import { loadEnvFile } from 'node:process'
    import { subscribe } from 'durable-event-iterator/client'
    const { token, publishKey } = Object.fromEntries(new URLSearchParams(new URL(process.argv[3]).hash.slice(1)))
    const iterator = subscribe({ url: process.argv[2], token })
    await iterator.opened()
    const headers = { authorization: 'Bearer ' + publishKey }
    await fetch(process.argv[2] + '/channels/some-room/events', { method: 'POST', headers, body: '{"message":"Hello"}' })
    console.log(JSON.stringify((await iterator.next()).value))
    await iterator.return()
  `,
  typescript: `
    import { createClient } from './page/client.ts'
    const client = createClient(process.argv[2])
    const iterator = await client.onMessage()
    await client.sendMessage({ message: 'Hello' })
    console.log(JSON.stringify((await iterator.next()).value))
    await iterator.return()
  `,
  rust: '',
}

/** What the page of a template does in a browser. */
const usePage: Record<Template, (page: Page, address: string, project: string) => Promise<void>> = {
  worker: async (page, address, project) => {
    // The other address has a token that has expired.
    const { SIGNING_KEY = '' } = parseEnv(await readFile(join(project, '.dev.vars'), 'utf8'))
    const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
    const unsigned = `${encode({ alg: 'HS256' })}.${encode({ chn: 'some-room', rpc: [], iat: 1_700_000_000, exp: 1_700_003_600 })}`
    const token = `${unsigned}.${createHmac('sha256', SIGNING_KEY).update(unsigned).digest('base64url')}`
    const expired = new URL(address)
    expired.hash = new URLSearchParams({ ...Object.fromEntries(new URLSearchParams(expired.hash.slice(1))), token }).toString()
    await page.goto(expired.href)
    await page.getByRole('alert').getByText('Run `node src/link.ts`, and open the address that it prints').waitFor()
    await page.getByRole('status').getByText('Disconnected').waitFor()
    expect(await page.locator('form[inert]').count()).toBe(1)

    // It differs only after `#`.
    await page.goto(address)
    await sendManyMessages(page)
  },
  typescript: async (page, address) => {
    await page.route('**/rpc/onMessage', (route) => route.fulfill({ status: 503, body: '' }))
    await page.goto(address)
    await page.getByRole('status').getByText('Cannot connect: ').waitFor()
    await page.unroute('**/rpc/onMessage')
    await sendManyMessages(page)
  },
  rust: async () => {},
}

/** Sends messages until the page removes the oldest one. */
async function sendManyMessages(page: Page): Promise<void> {
  await page.getByRole('status').getByText('Connected').waitFor()
  const items = page.getByRole('listitem')
  // As if the page had received these messages.
  await page.locator('ol').evaluate((list) => list.append(...Array.from({ length: 499 }, () => document.createElement('li'))))
  for (const message of ['One', 'Two']) {
    await page.getByPlaceholder('Message').fill(message)
    await page.getByRole('button', { name: 'Send' }).click()
    await items.first().getByText(message).waitFor()
  }
  expect(await items.count()).toBe(500)
}

describe.each(templates)('the template %s', (template) => {
  let project: string
  beforeAll(async () => {
    project = join(folder, `my-${template}`)
    const created = await create(`my-${template}`, '--template', template)
    expect(created, created.output).toMatchObject({ status: 0, stderr: '' })
    if (template === 'rust') await usePackedCrates(project)
    const installed = await runIn(project, 'npm', ['install', library.tarball])
    expect(installed.status, installed.output).toBe(0)
  }, INSTALL_TIMEOUT)

  test('depends on this version of the packages', async () => {
    const { version } = JSON.parse(await readFile(join(root, 'npm/create-durable-event-iterator/package.json'), 'utf8'))
    const written = await readFile(join(root, `npm/create-durable-event-iterator/templates/${template}/package.json`), 'utf8')
    expect(JSON.parse(written).dependencies['durable-event-iterator']).toBe('^{{version}}')
    if (template === 'rust') {
      expect(await readFile(join(project, 'Cargo.toml'), 'utf8')).toContain(`\ndurable-event-iterator = "${version}"\n`)
    }
  })

  test('contains no placeholder, and links to the repository', async () => {
    const entries = await readdir(project, { recursive: true, withFileTypes: true })
    const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
    const own = files.filter((file) => !file.slice(project.length).startsWith('/node_modules'))
    for (const file of own) expect(await readFile(file, 'utf8'), file).not.toContain('{{')
    const readme = await readFile(join(project, 'README.md'), 'utf8')
    const urls = readme.match(/https:\/\/github\.com\/[\w-]+\/[\w-]+/g)!
    expect(new Set(urls)).toEqual(new Set([await repositoryUrl()]))
    expect(JSON.parse(await readFile(join(project, 'package.json'), 'utf8')).name).toBe(`my-${template}`)
  })

  test('has random secrets, which only the owner can read and git ignores', async () => {
    const secrets = await readFile(join(project, '.dev.vars'), 'utf8')
    const names = template === 'worker' ? ['SIGNING_KEY', 'PUBLISH_KEY', 'INSPECT_KEY'] : ['SIGNING_KEY', 'INSPECT_KEY']
    expect(secrets).toMatch(new RegExp(`^${names.map((name) => `${name}=[\\w-]{43}\n`).join('')}$`))
    expect((await stat(join(project, '.dev.vars'))).mode & 0o777).toBe(0o600)
    expect(await readFile(join(project, '.gitignore'), 'utf8')).toContain('\n.dev.vars\n')
    await create(`other-${template}`, '--template', template)
    expect(await readFile(join(folder, `other-${template}`, '.dev.vars'), 'utf8')).not.toBe(secrets)
  })

  test('compiles in strict mode', async () => {
    const { status, output } = await runIn(project, 'npm', ['run', 'check'], CHECK_TIMEOUT)
    expect(status, output).toBe(0)
  }, CHECK_TIMEOUT + 10_000)

  test('passes its own test', async () => {
    const { status, output } = await runIn(project, 'npm', ['test'])
    expect(status, output).toBe(0)
    expect(output).toMatch(/^ℹ pass [1-9]/m)
  }, BUILD_TIMEOUT)

  // The Worker in Rust would be built again. Its page is the same as that of `typescript`.
  if (template !== 'rust') test('serves the page, and sends an event to a client', async () => {
    // The first event would otherwise be one that the project's own test has just published.
    await rm(join(project, '.wrangler/state'), { recursive: true, force: true })
    const server = await startServer(project)
    try {
      const page = await fetch(new URL(template === 'worker' ? '/page' : '/', server.url))
      expect(await page.text()).toContain(`<title>my-${template}</title>`)
      expect((await fetch(new URL('/main.js', server.url))).headers.get('content-type')).toContain('javascript')

      await writeFile(join(project, 'first-event.ts'), firstEvent[template])
      const link = /http:\S+#\S+/.exec(server.output())?.[0] ?? ''
      const { stdout, output } = await runIn(project, 'node', ['first-event.ts', server.url, link])
      expect(stdout, output).toBe('{"message":"Hello"}\n')

      const visitor = await browser.newPage()
      const failures: string[] = []
      visitor.on('pageerror', (error) => failures.push(error.message))
      const address = new URL(template === 'worker' ? link : '/', server.url)
      address.host = new URL(server.url).host
      await usePage[template](visitor, address.href, project)
      await visitor.close()
      expect(failures).toEqual([])

      const inspector = await fetch(new URL('/inspect', server.url))
      expect(await inspector.text()).toContain('data-prefix="/channels"')
      const [, key] = /^INSPECT_KEY=(.*)$/m.exec(await readFile(join(project, '.dev.vars'), 'utf8'))!
      const headers = { authorization: `Bearer ${key}` }
      const { events } = (await (await fetch(new URL('/channels/some-room/events', server.url), { headers })).json()) as { events: { json: object }[] }
      expect(events.map(({ json }) => json)).toContainEqual({ message: 'Hello' })
    } finally {
      await server.stop()
    }
  }, 120_000)
})

/** Makes a project in Rust depend on the packed crates, with the versions that everything else is tested with. */
async function usePackedCrates(project: string): Promise<void> {
  const names = ['durable-event-iterator', 'durable-event-log', 'durable-event-token', 'durable-event-wire']
  const patches = names.map((name) => `${name} = { path = ${JSON.stringify(join(root, 'target/packed', name))} }\n`)
  const manifest = join(project, 'Cargo.toml')
  await writeFile(manifest, `${await readFile(manifest, 'utf8')}\n[patch.crates-io]\n${patches.join('')}`)
  await cp(join(root, 'tests/outside/Cargo.lock'), join(project, 'Cargo.lock'))
}

/** Runs `npm run dev` on a free port, until the Worker is ready. */
async function startServer(project: string): Promise<{ url: string; output(): string; stop(): Promise<void> }> {
  const port = await freePort()
  const args = ['run', 'dev', '--', '--port', `${port}`, '--inspector-port', '0']
  // In a process group of its own, together with wrangler and the runtime.
  const child = spawn('npm', args, { cwd: project, env: environment, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
  const ended = new Promise<void>((resolve) => child.on('close', () => resolve()))
  let output = ''
  const ready = new Promise<void>((resolve) => {
    const read = (text: Buffer): void => {
      output += text
      if (output.includes('Ready on ')) resolve()
    }
    child.stdout.on('data', read)
    child.stderr.on('data', read)
  })
  const stop = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid!, 'SIGINT')
    await ended
  }
  await Promise.race([ready, ended])
  if (!output.includes('Ready on ')) throw new Error(`the server has ended:\n${output}`)
  return { url: `http://localhost:${port}`, output: () => output, stop }
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer()
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })
}
