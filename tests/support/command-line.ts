// The bundled command line, run as a process.

import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

import { expect } from 'vitest'

// @ts-expect-error The script has no declarations.
import { bundleCommandLine } from '../../npm/durable-event-iterator/command-line.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** The Node.js of the package `node`, and the one of the system, which may be older. */
export const nodes = {
  packaged: join(root, 'node_modules/.bin/node'),
  system: (process.env.PATH ?? '')
    .split(delimiter)
    .filter((folder) => !folder.includes(`node_modules${sep}.bin`))
    .map((folder) => join(folder, 'node'))
    .find(existsSync),
}

/** The time limit of a command that ends by itself, in milliseconds. */
const TIMEOUT = 25_000

export interface RunOptions {
  /** The path of Node.js. */
  node?: string
  env?: Record<string, string>
  cwd?: string
  /** The standard input. Default: empty. */
  stdin?: string
}

export interface Result {
  status: number | null
  stdout: string
  stderr: string
}

export class CommandLine {
  /** An empty folder in which the commands run. */
  readonly folder: string
  readonly bundle: string
  /** The environment of all commands. */
  readonly env: Record<string, string>
  readonly #running = new Set<Running>()

  private constructor(folder: string, env: Record<string, string>) {
    this.folder = folder
    this.bundle = join(folder, '.bundle', 'cli.mjs')
    this.env = env
  }

  static async build(env: Record<string, string> = {}): Promise<CommandLine> {
    const folder = await mkdtemp(join(await realpath(tmpdir()), 'command-line-'))
    const commandLine = new CommandLine(folder, env)
    await bundleCommandLine(commandLine.bundle)
    return commandLine
  }

  /** Runs a command to its end. */
  async run(args: readonly string[], options: RunOptions = {}): Promise<Result> {
    const running = this.start(args, options)
    const timer = setTimeout(() => running.process.kill('SIGKILL'), TIMEOUT)
    running.process.stdin!.end(options.stdin ?? '')
    await running.ended
    clearTimeout(timer)
    return running
  }

  /** Starts a command. Its standard input stays open. */
  start(args: readonly string[], { node = nodes.packaged, env = {}, cwd = this.folder }: RunOptions = {}): Running {
    const { PATH = '', HOME = '' } = process.env
    const child = spawn(node, [this.bundle, ...args], { cwd, env: { PATH, HOME, TZ: 'UTC', ...this.env, ...env }, stdio: 'pipe' })
    // The process may have ended before it has read its input.
    child.stdin.on('error', () => {})
    const running = new Running(child)
    this.#running.add(running)
    void running.ended.then(() => this.#running.delete(running))
    return running
  }

  async dispose(): Promise<void> {
    for (const running of this.#running) running.process.kill('SIGKILL')
    await Promise.all([...this.#running].map(({ ended }) => ended))
    await rm(this.folder, { recursive: true, force: true })
  }
}

/** A command that runs. */
export class Running implements Result {
  status: number | null = null
  stdout = ''
  stderr = ''
  readonly process: ChildProcess
  readonly ended: Promise<void>

  constructor(child: ChildProcess) {
    this.process = child
    for (const stream of ['stdout', 'stderr'] as const) {
      child[stream]!.setEncoding('utf8').on('data', (text: string) => {
        this[stream] += text
      })
    }
    this.ended = new Promise((resolve) =>
      child.on('close', (code) => {
        this.status = code
        resolve()
      }),
    )
  }

  get lines(): string[] {
    return this.stdout.split('\n').filter((line) => line !== '')
  }

  /** Resolves when the output contains a text. */
  async until(text: string, stream: 'stdout' | 'stderr' = 'stderr', times = 1): Promise<void> {
    const count = (): number => this[stream].split(text).length - 1
    await expect.poll(count, { timeout: 20_000, message: `${text}\n${this.stdout}\n${this.stderr}` }).toBeGreaterThanOrEqual(times)
  }

  /** Ends the command as Ctrl+C does. */
  async interrupt(): Promise<number | null> {
    this.process.kill('SIGINT')
    await this.ended
    return this.status
  }
}
