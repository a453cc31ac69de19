// A real browser: an installed one, or one that this module installs.

import { execFile } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { chromium } from 'playwright-core'
import type { Browser } from 'playwright-core'

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

export async function launchBrowser(): Promise<Browser> {
  const executablePath = installed() ?? (await install())
  return chromium.launch({ executablePath, args: ARGUMENTS })
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
