// Starts child processes that always end with the script that started them.

import { execFileSync, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { constants } from 'node:os'

/** The time after which stopped children are killed, in milliseconds: open WebSockets would keep the runtime alive. */
const STOP_TIMEOUT = 3_000

/** The interval of the checks that npm, which runs the script, still exists, in milliseconds. */
const PARENT_CHECK_INTERVAL = 500

/** @type {Set<import('node:child_process').ChildProcess>} */
const children = new Set()

/** Whether the script is ending. */
let stopping = false

/**
 * Starts a child process like `spawn` of Node.js, but in its own process group, so that signals also reach its descendants.
 *
 * @param {string} command
 * @param {string[]} args
 * @param {import('node:child_process').SpawnOptions} options
 */
export function spawnChild(command, args, options) {
  const child = spawn(command, args, { ...options, detached: process.platform !== 'win32' })
  children.add(child)
  if (stopping) signalGroup(child, 'SIGKILL')
  const forget = () => {
    // A child that ended while it started or stopped may have left descendants.
    signalGroup(child, 'SIGKILL')
    children.delete(child)
  }
  child.on('exit', forget)
  child.on('error', forget)
  return child
}

/**
 * Ends this script and its children on SIGINT, SIGTERM and SIGHUP, and when the npm that runs it has ended: npm forwards
 * SIGTERM only to a shell, which does not forward it, and other signals end only npm.
 *
 * @param {{ signal?: NodeJS.Signals, status?: number }} [options] the signal for the children, and the exit status of the
 * script
 */
export function endChildrenWithScript({ signal = 'SIGTERM', status } = {}) {
  const stop = (reason) => {
    if (stopping) {
      // The second Ctrl-C kills at once.
      for (const child of children) signalGroup(child, 'SIGKILL')
      return
    }
    stopping = true
    const exit = () => process.exit(status ?? 128 + constants.signals[reason])
    for (const child of children) signalGroup(child, signal)
    setTimeout(() => {
      for (const child of children) signalGroup(child, 'SIGKILL')
    }, STOP_TIMEOUT).unref()
    const ended = setInterval(() => {
      if (children.size > 0) return
      clearInterval(ended)
      exit()
    }, 20)
  }
  for (const reason of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(reason, () => stop(reason))
  void npmEnded().then(() => stop('SIGTERM'))
}

/** Whether the script is ending. */
export function isStopping() {
  return stopping
}

function signalGroup({ pid }, signal) {
  if (pid === undefined) return
  try {
    process.kill(process.platform === 'win32' ? pid : -pid, signal)
  } catch {
    // The process has ended.
  }
}

/** Resolves when the npm that runs this script has ended. Never resolves without npm. */
async function npmEnded() {
  if (process.env.npm_lifecycle_event === undefined || process.platform === 'win32') return new Promise(() => {})
  const parent = process.ppid
  // npm runs a shell, which runs this script; some shells replace themselves by it. The parent of the shell is read at the
  // start: it changes when npm ends.
  const isShell = / -c /.test(processField(parent, 'args') ?? '')
  const npm = isShell ? parentOf(parent) : undefined
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, PARENT_CHECK_INTERVAL).unref())
    if (process.ppid !== parent) return
    if (npm !== undefined && parentOf(parent) !== npm) return
  }
}

/** Returns the id of a process's parent. It changes when the parent ends. */
function parentOf(pid) {
  try {
    // Linux. The name of the program, in parentheses, can contain any characters.
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return Number(stat.slice(stat.lastIndexOf(')') + 1).trim().split(' ')[1])
  } catch {
    const field = processField(pid, 'ppid')
    return field === undefined ? undefined : Number(field)
  }
}

function processField(pid, field) {
  try {
    return execFileSync('ps', ['-o', `${field}=`, '-p', String(pid)], { encoding: 'utf8' }).trim()
  } catch {
    return undefined
  }
}
