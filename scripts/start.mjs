// Runs the chat room locally: `npm start`, or `npm start -- --port 9000` for another port than 8787.

import { randomBytes } from 'node:crypto'
import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

import { buildWorkers, workers } from './build.mjs'
import { endChildrenWithScript, isStopping, spawnChild } from './children.mjs'
import { setup } from './setup.mjs'
import { root, toolEnvironment } from './toolchain.mjs'

/** The default port of wrangler. */
const DEFAULT_PORT = 8787

/** The secrets of the chat room. On the first start each one is set to a random value, which is kept. */
const SECRETS = ['SIGNING_KEY', 'INSPECT_KEY']

/** The length of a secret in bytes: the output length of HMAC-SHA256. A longer key is not stronger. */
const SECRET_BYTES = 32

/** The interval of the requests that check whether the chat room is ready, in milliseconds. */
const READY_INTERVAL = 200

/** The time limit of such a request, in milliseconds. */
const READY_TIMEOUT = 5_000

const chatRoom = join(root, 'examples', 'chat-room')

async function main() {
  // wrangler stops its runtime on SIGINT. A stopped chat room is not a failure.
  endChildrenWithScript({ signal: 'SIGINT', status: 0 })
  const { values } = parseArgs({ options: { port: { type: 'string' } } })
  await setup()
  const worker = (await workers()).find(({ folder }) => folder === chatRoom)
  await buildWorkers([worker])
  createSecrets(join(chatRoom, '.dev.vars'))
  await serve(values.port === undefined ? await freePort() : await requirePort(Number(values.port)))
}

/** Adds missing secrets to the file, and keeps the others. */
function createSecrets(file) {
  const present = existsSync(file) ? readFileSync(file, 'utf8') : ''
  const missing = SECRETS.filter((name) => !new RegExp(`^\\s*${name}\\s*=`, 'm').test(present))
  if (missing.length === 0) return
  const lines = missing.map((name) => `${name}="${randomBytes(SECRET_BYTES).toString('base64url')}"\n`)
  const separator = present === '' || present.endsWith('\n') ? '' : '\n'
  // Only the owner can read the file.
  appendFileSync(file, separator + lines.join(''), { mode: 0o600 })
}

async function freePort() {
  if (await canListen(DEFAULT_PORT)) return DEFAULT_PORT
  // Port 0: the system picks one.
  const port = await canListen(0)
  console.log(`Port ${DEFAULT_PORT} is in use; using port ${port}.`)
  return port
}

async function requirePort(port) {
  if (!(await canListen(port))) throw new Error(`port ${port} is in use; choose another one with --port`)
  return port
}

/** @returns {Promise<number | undefined>} the port, or undefined if it is in use */
function canListen(port) {
  return new Promise((resolve) => {
    const server = createServer()
    server.on('error', () => resolve(undefined))
    server.listen(port, '127.0.0.1', () => {
      const { port: actual } = server.address()
      server.close(() => resolve(actual))
    })
  })
}

async function serve(port) {
  const wrangler = spawnChild(
    'wrangler',
    ['dev', '--ip', '127.0.0.1', '--port', String(port), '--show-interactive-dev-session=false'],
    { cwd: chatRoom, env: toolEnvironment(), stdio: ['ignore', 'inherit', 'inherit'] },
  )
  let status
  const ended = new Promise((resolve) => {
    wrangler.on('error', (error) => {
      console.error(error.message)
      resolve(1)
    })
    wrangler.on('exit', (code) => resolve(code ?? 1))
  })
  ended.then((code) => (status = code))

  const url = `http://localhost:${port}`
  if (await responds(url, () => status === undefined && !isStopping())) {
    console.log(`\nThe chat room is at ${url} (stop it with Ctrl-C)`)
    console.log(`The inspector is at ${url}/inspect: its key is INSPECT_KEY in examples/chat-room/.dev.vars\n`)
  }
  process.exitCode = await ended
}

/** Waits for a response of any status. Returns false if `isWanted` returns false before. */
async function responds(url, isWanted) {
  while (isWanted()) {
    const response = await fetch(url, { signal: AbortSignal.timeout(READY_TIMEOUT) }).catch(() => undefined)
    if (response !== undefined) return true
    await new Promise((resolve) => setTimeout(resolve, READY_INTERVAL))
  }
  return false
}

try {
  await main()
} catch (error) {
  // No error message after a stop by the user.
  if (!isStopping()) console.error(error.message)
  process.exitCode = 1
}
