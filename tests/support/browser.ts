// A real browser: an installed one, or one that this module installs.

import { execFile, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { chromium } from 'playwright-core'
import type { Browser } from 'playwright-core'
import WebSocket from 'ws'

const run = promisify(execFile)

/** The time limit of an installation, in milliseconds: it downloads some hundred megabytes. */
export const INSTALL_TIMEOUT = 300_000

const COMMANDS = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'microsoft-edge', 'microsoft-edge-stable']

/** The paths of browsers that are not in PATH. */
const PROGRAMS = [
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
  '/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge',
  ...[process.env['ProgramFiles'], process.env['ProgramFiles(x86)'], process.env['LOCALAPPDATA']].flatMap((folder) =>
    folder === undefined
      ? []
      : [join(folder, 'Google/Chrome/Application/chrome.exe'), join(folder, 'Microsoft/Edge/Application/msedge.exe')],
  ),
]

/** Disables everything that tests do not need, such as network requests and first-run pages. */
const ARGUMENTS = [
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  // Chromium's sandbox does not run as root.
  ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
]

/** @param ignoreDefaultArgs - Arguments of playwright that are not used, such as `--disable-back-forward-cache`. */
export async function launchBrowser(ignoreDefaultArgs: string[] = []): Promise<Browser> {
  return chromium.launch({ executablePath: await findBrowser(), args: ARGUMENTS, ignoreDefaultArgs })
}

/** Returns the path of an installed browser. */
async function findBrowser(): Promise<string> {
  return installed() ?? (await install())
}

/**
 * A browser without playwright, which keeps all pages visible and focused: here, only one tab is visible, and the others can be
 * frozen.
 */
export class BareBrowser {
  static async launch(): Promise<BareBrowser> {
    const profile = await mkdtemp(join(tmpdir(), 'browser-'))
    const flags = ['--headless=new', '--remote-debugging-port=0', `--user-data-dir=${profile}`, ...ARGUMENTS]
    const child = spawn(await findBrowser(), [...flags, 'about:blank'], { stdio: ['ignore', 'ignore', 'pipe'] })
    const address = await new Promise<string>((resolve, reject) => {
      let output = ''
      child.stderr.on('data', (data) => {
        output += data
        const [found] = /ws:\/\/\S+/.exec(output) ?? []
        if (found !== undefined) resolve(found)
      })
      child.on('exit', () => reject(new Error(`the browser has ended: ${output}`)))
    })
    const socket = new WebSocket(address)
    await once(socket, 'open')
    return new BareBrowser(child, socket, profile)
  }

  readonly #child: ChildProcess
  readonly #socket: WebSocket
  readonly #profile: string
  readonly #waiting = new Map<number, { resolve(result: unknown): void; reject(error: Error): void }>()
  #lastId = 0

  private constructor(child: ChildProcess, socket: WebSocket, profile: string) {
    this.#child = child
    this.#socket = socket
    this.#profile = profile
    socket.on('message', (data) => {
      const { id, result, error } = JSON.parse(String(data))
      const waiting = this.#waiting.get(id)
      if (error !== undefined) waiting?.reject(new Error(error.message))
      else waiting?.resolve(result)
      this.#waiting.delete(id)
    })
  }

  /** Opens a tab, which becomes the visible one. */
  async open(url: string): Promise<BareTab> {
    const { targetId } = await this.send<{ targetId: string }>('Target.createTarget', { url })
    const { sessionId } = await this.send<{ sessionId: string }>('Target.attachToTarget', { targetId, flatten: true })
    await this.send('Target.activateTarget', { targetId })
    return new BareTab(this, targetId, sessionId)
  }

  /** Calls a method of the Chrome DevTools Protocol. */
  send<T>(method: string, params: object = {}, sessionId?: string): Promise<T> {
    const id = (this.#lastId += 1)
    this.#socket.send(JSON.stringify({ id, method, params, sessionId }))
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve: resolve as (result: unknown) => void, reject }))
  }

  async close(): Promise<void> {
    const exited = once(this.#child, 'exit')
    this.#child.kill()
    await exited
    await rm(this.#profile, { recursive: true, force: true, maxRetries: 5 })
  }
}

/** A tab of a {@link BareBrowser}. */
export class BareTab {
  readonly #browser: BareBrowser
  readonly #targetId: string
  readonly #sessionId: string

  constructor(browser: BareBrowser, targetId: string, sessionId: string) {
    this.#browser = browser
    this.#targetId = targetId
    this.#sessionId = sessionId
  }

  /** Evaluates an expression, and returns its awaited value as JSON would. */
  async evaluate<T>(expression: string): Promise<T> {
    const { result, exceptionDetails } = await this.send<{ result: { value: T }; exceptionDetails?: { text: string } }>('Runtime.evaluate', {
      expression,
      awaitPromise: true,
      returnByValue: true,
    })
    if (exceptionDetails !== undefined) throw new Error(`${expression}: ${JSON.stringify(exceptionDetails)}`)
    return result.value
  }

  /** Makes this tab the visible one. */
  async show(): Promise<void> {
    await this.#browser.send('Target.activateTarget', { targetId: this.#targetId })
  }

  /** Stops the timers and tasks of a hidden tab. */
  async freeze(): Promise<void> {
    await this.send('Page.setWebLifecycleState', { state: 'frozen' })
  }

  async thaw(): Promise<void> {
    await this.send('Page.setWebLifecycleState', { state: 'active' })
  }

  /** Calls a method of the Chrome DevTools Protocol. */
  send<T>(method: string, params: object = {}): Promise<T> {
    return this.#browser.send<T>(method, params, this.#sessionId)
  }
}

function installed(): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '')
  const candidates = folders.flatMap((folder) => COMMANDS.map((command) => join(folder, command)))
  return [...PROGRAMS, ...candidates, chromium.executablePath()].find(canRun)
}

/** Installs Debian's package if possible, since it includes the libraries, and otherwise the download of playwright. */
async function install(): Promise<string> {
  if (process.platform === 'linux' && process.getuid?.() === 0) {
    const environment = { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } }
    await run('apt-get', ['update'], environment)
      .then(() => run('apt-get', ['install', '--yes', '--no-install-recommends', 'chromium'], environment))
      .catch(() => {})
  }
  if (installed() === undefined) {
    const tool = fileURLToPath(new URL('../../node_modules/playwright-core/cli.js', import.meta.url))
    await run(process.execPath, [tool, 'install', 'chromium'])
  }
  const found = installed()
  if (found === undefined) throw new Error('no browser found: install Chrome, Chromium or Edge')
  return found
}

function canRun(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}
