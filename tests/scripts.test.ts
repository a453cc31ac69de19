// The scripts end with all their child processes, however npm ends.

import { spawn } from 'node:child_process'
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { afterEach, beforeEach, expect, test } from 'vitest'

const scripts = fileURLToPath(new URL('../scripts', import.meta.url))

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'scripts-'))
  await cp(join(scripts, 'children.mjs'), join(folder, 'children.mjs'))
  await writeFile(join(folder, 'package.json'), '{ "type": "module", "scripts": { "start": "node start.mjs" } }')
  // The child ignores signals, and has started another process.
  await writeFile(
    join(folder, 'start.mjs'),
    `import { writeFileSync } from 'node:fs'
    import { endChildrenWithScript, spawnChild } from './children.mjs'
    endChildrenWithScript({ signal: 'SIGINT', status: 0 })
    const child = spawnChild('sh', ['-c', 'trap "" INT TERM; sleep 600 & echo $! > grandchild; wait; sleep 600'], { stdio: 'ignore' })
    writeFileSync('pids', process.pid + ' ' + child.pid)`,
  )
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const read = (name: string): Promise<string> => readFile(join(folder, name), 'utf8').catch(() => '')
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

test.each(['SIGTERM', 'SIGHUP', 'SIGKILL'] as const)('%s to npm', async (signal) => {
  const npm = spawn('npm', ['start'], { cwd: folder, stdio: 'ignore', detached: true })
  await expect.poll(async () => (await read('grandchild')) && (await read('pids')), { timeout: 20_000 }).not.toBe('')
  const pids = `${await read('pids')} ${await read('grandchild')}`.trim().split(/\s+/).map(Number)
  expect(pids.map(isAlive)).toEqual([true, true, true])
  process.kill(npm.pid!, signal)
  await expect.poll(() => pids.map(isAlive), { timeout: 20_000 }).toEqual([false, false, false])
})

test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('%s to the script, which ends with its own status', async (signal) => {
  const program = spawn(process.execPath, ['start.mjs'], { cwd: folder, stdio: 'ignore', detached: true })
  const status = new Promise((resolve) => program.on('exit', resolve))
  await expect.poll(async () => (await read('grandchild')) && (await read('pids')), { timeout: 20_000 }).not.toBe('')
  const pids = `${await read('pids')} ${await read('grandchild')}`.trim().split(/\s+/).map(Number)
  process.kill(program.pid!, signal)
  expect(await status).toBe(0)
  await expect.poll(() => pids.map(isAlive), { timeout: 20_000 }).toEqual([false, false, false])
})
