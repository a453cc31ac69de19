// The chat room on this machine: `npm start`, with another port than 8787 as `npm start -- --port 9000`.

import { randomBytes } from 'node:crypto'
import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

import { buildWorker, workers } from './build.mjs'
import { endChildrenWithScript, isStopping, spawnChild } from './children.mjs'
import { setup } from './setup.mjs'
import { root, toolEnvironment } from './toolchain.mjs'

/** wrangler's own default. */
const DEFAULT_PORT = 8787

/** The secrets that the chat room reads. Each gets a random value on the first start and keeps it. */
const SECRETS = ['SIGNING_KEY']

/** How many random bytes a secret has: as many as HMAC-SHA256 puts out, beyond which a key gets no stronger. */
const SECRET_BYTES = 32

/** How often to look whether the chat room answers yet, in milliseconds. */
const READY_INTERVAL = 200

/** How long one such look may take, in milliseconds. */
const READY_TIMEOUT = 5_000

const chatRoom = join(root, 'examples', 'chat-room')

async function main() {
  // wrangler stops its runtime on SIGINT. Stopping the chat room is not a failure.
  endChildrenWithScript({ signal: 'SIGINT', status: 0 })
  const { values } = parseArgs({ options: { port: { type: 'string' } } })
  await setup()
  const worker = (await workers()).find(({ folder }) => folder === chatRoom)
  await buildWorker(worker)
  createSecrets(join(chatRoom, '.dev.vars'))
  await serve(values.port === undefined ? await freePort() : await requirePort(Number(values.port)))
}

/** Adds the secrets that the file lacks; those that are there stay. */
function createSecrets(file) {
  const present = existsSync(file) ? readFileSync(file, 'utf8') : ''
  const missing = SECRETS.filter((name) => !new RegExp(`^\\s*${name}\\s*=`, 'm').test(present))
  if (missing.length === 0) return
  const lines = missing.map((name) => `${name}="${randomBytes(SECRET_BYTES).toString('base64url')}"\n`)
  const separator = present === '' || present.endsWith('\n') ? '' : '\n'
  // Secrets are nobody else's to read.
  appendFileSync(file, separator + lines.join(''), { mode: 0o600 })
}

async function freePort() {
  if (await canListen(DEFAULT_PORT)) return DEFAULT_PORT
  // Port 0: the system picks one.
  const port = await canListen(0)
  console.log(`Port ${DEFAULT_PORT} is taken, so this uses ${port}.`)
  return port
}

async function requirePort(port) {
  if (!(await canListen(port))) throw new Error(`Port ${port} is taken.`)
  return port
}

/** @returns {Promise<number | undefined>} the port, unless something else has it */
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
  if (await answers(url, () => status === undefined && !isStopping())) {
    console.log(`\nThe chat room is at ${url} (Ctrl-C stops it)\n`)
  }
  process.exitCode = await ended
}

/** Waits until the address answers, with whatever status, or until that is not wanted any more. */
async function answers(url, isWanted) {
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
  // What was stopped has failed, and nobody wonders why.
  if (!isStopping()) console.error(error.message)
  process.exitCode = 1
}
