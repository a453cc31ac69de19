// The projects of `tests/projects`, with the packed npm package, on which the tools of TypeScript users run. The PATH of the tools
// contains no Rust toolchain.

import { spawn } from 'node:child_process'
import { cp, mkdir, mkdtemp, readdir, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { stripVTControlCharacters } from 'node:util'

import { createORPCClient } from '@orpc/client'
import type { NestedClient } from '@orpc/client'
import { RPCLink } from '@orpc/client/fetch'
import { expect } from 'vitest'

import { DurableEventIteratorLinkPlugin, DurableIteratorLinkPlugin } from '../../npm/durable-event-iterator/src/orpc-v1/index.ts'
import { SIGNING_KEY } from './client.ts'
import { linkOrpc } from './npm-package.ts'
import type { PackedPackage } from './npm-package.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const modules = join(root, 'node_modules')

/** The publish key of the projects. The signing key is that of the other tests. */
export const PUBLISH_KEY = 'the publish key of the tests'

/** The time limit of a tool, or of its start, in milliseconds. */
const TOOL_TIMEOUT = 90_000

export interface Project {
  folder: string
  /**
   * Runs a tool and returns its output.
   *
   * @throws {Error} If it fails. The error contains the output.
   */
  run(tool: string, ...args: string[]): Promise<string>
  /**
   * Starts the development server of a tool on a free port, with empty storage. Resolves with its address when the output contains
   * `ready`.
   *
   * @throws {Error} If the tool ends, or is not ready in time. The error contains the output.
   */
  serve(ready: string, tool: string, ...args: string[]): Promise<{ host: string; stop(): Promise<void> }>
  dispose(): Promise<void>
}

/**
 * Copies a project to a folder outside of the repository, and installs the packed package in it.
 *
 * @param orpc - The version of oRPC. Default: the installed one.
 */
export async function createProject(name: string, packed: PackedPackage, orpc?: string): Promise<Project> {
  const folder = await mkdtemp(join(await realpath(tmpdir()), `${name}-`))
  await cp(join(root, 'tests', 'projects', name), folder, { recursive: true })
  const installed = join(folder, 'node_modules')
  await mkdir(installed)
  for (const entry of await readdir(modules)) {
    const isReplaced = entry === '@orpc' && orpc !== undefined
    if (!entry.startsWith('.') && !isReplaced) await symlink(join(modules, entry), join(installed, entry))
  }
  if (orpc !== undefined) await linkOrpc(installed, orpc)
  await cp(packed.folder, join(installed, packed.name), { recursive: true })
  await writeFile(join(folder, 'package.json'), '{ "type": "module", "private": true }')
  await writeFile(join(folder, '.dev.vars'), `SIGNING_KEY=${SIGNING_KEY}\nPUBLISH_KEY=${PUBLISH_KEY}\n`)

  const start = (tool: string, args: string[]) => {
    const env = {
      HOME: folder,
      // Only the tools of `node_modules`, and Node.js.
      PATH: join(modules, '.bin'),
      WRANGLER_SEND_METRICS: 'false',
      CLOUDFLARE_CF_FETCH_ENABLED: 'false',
      CI: 'true',
    }
    const child = spawn(join(modules, '.bin', tool), args, { cwd: folder, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
    const output = { text: '' }
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => (output.text += stripVTControlCharacters(text)))
    }
    const ended = new Promise<number>((resolve) => child.on('close', (code) => resolve(code ?? 1)))
    const stop = async (): Promise<void> => {
      try {
        process.kill(-child.pid!, 'SIGKILL')
      } catch {
        // It has ended.
      }
      await ended
    }
    return { output, ended, stop }
  }

  return {
    folder,
    run: async (tool, ...args) => {
      const { output, ended, stop } = start(tool, args)
      const timer = setTimeout(stop, TOOL_TIMEOUT)
      const status = await ended
      clearTimeout(timer)
      if (status !== 0) throw new Error(`${tool} ${args.join(' ')} failed with status ${status}:\n${output.text}`)
      return output.text
    },
    serve: async (ready, tool, ...args) => {
      // A client without a cursor would receive the newest events of an earlier server.
      await rm(join(folder, '.wrangler', 'state'), { recursive: true, force: true })
      for (;;) {
        const port = await freePort()
        const { output, ended, stop } = start(tool, [...args, '--port', String(port)])
        let hasEnded = false
        void ended.then(() => (hasEnded = true))
        const deadline = Date.now() + TOOL_TIMEOUT
        while (!output.text.includes(ready) && !hasEnded && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 50))
        if (output.text.includes(ready)) return { host: `localhost:${port}`, stop }
        await stop()
        // Another process may have taken the port since it was found to be free.
        if (!hasEnded || !output.text.includes('already in use')) throw new Error(`${tool} ${args.join(' ')} did not start:\n${output.text}`)
      }
    },
    dispose: () => rm(folder, { recursive: true, force: true }),
  }
}

/** Uses both classes of the project `rooms` with clients: events, procedures and audiences. */
export async function useRooms({ host }: { host: string }): Promise<void> {
  const link = new RPCLink({
    url: `http://${host}/rpc`,
    plugins: [
      new DurableEventIteratorLinkPlugin({ url: `ws://${host}/chat-room` }),
      new DurableIteratorLinkPlugin({ url: `ws://${host}/notes` }),
    ],
  })
  // The types of the project need those of Workers.
  const client: any = createORPCClient<NestedClient<Record<never, never>>>(link)
  const [ann, bob] = [await client.onMessage({ userId: 'ann' }), await client.onMessage({ userId: 'bob' })]
  await client.sendMessage({ message: 'Hello' })
  await ann.publishMessage({ message: 'Hello, others' })
  expect((await ann.next()).value).toEqual({ message: 'Hello' })
  expect((await bob.next()).value).toEqual({ message: 'Hello' })
  expect((await bob.next()).value).toEqual({ message: 'ann: Hello, others' })
  expect(await bob.router.ping()).toBe('pong')
  const [author, reader] = [await client.onNote(), await client.onNote()]
  await author.add({ text: 'Hello' })
  expect((await reader.next()).value).toEqual({ text: 'Hello', at: new Date(0) })
  await Promise.all([ann, bob, author, reader].map((iterator) => iterator.return()))
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** Uses the project `rooms-orpc-v2` with its client: events, procedures, attachments and interceptors. */
export async function useRoomsOfOrpc2({ host, project }: { host: string; project: Project }): Promise<void> {
  const output = await project.run('node', 'client.ts', host)
  expect(JSON.parse(output.slice(output.indexOf('{')))).toEqual({
    hasId: true,
    events: ['from the server', 'from a client'].map((text) => ({ text, at: new Date(0).toISOString() })),
    said: 'from a client',
    errors: [
      ['OUT_OF_STOCK', 'Out Of Stock', { left: 0 }, true, 409],
      ['CONFLICT', 'already ordered', null, false, 409],
    ],
    file: ['upper-a.txt', 'A TEXT'],
    numbers: [3, 2, 1, 1],
    calls: 7,
  })
}
