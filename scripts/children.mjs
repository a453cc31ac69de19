// Child processes that end with the script that started them, whatever ends it.

import { execFileSync, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { constants } from 'node:os'

/** How long children may take to end before they are killed, in milliseconds: open WebSockets would hold up the runtime. */
const STOP_TIMEOUT = 3_000

/** How often to check that npm, which runs the script, is still there, in milliseconds. */
const PARENT_CHECK_INTERVAL = 500

/** @type {Set<import('node:child_process').ChildProcess>} */
const children = new Set()

/** Set once the script is to end. */
let stopping = false

/**
 * Like `spawn` of node, in a process group of its own, so that stopping also reaches what the child has started.
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
    // What a child leaves behind that was ended while it was starting or stopping.
    signalGroup(child, 'SIGKILL')
    children.delete(child)
  }
  child.on('exit', forget)
  child.on('error', forget)
  return child
}

/**
 * Ends this script and its children on SIGINT, SIGTERM and SIGHUP, and when the npm that runs it is gone: npm forwards
 * SIGTERM only to a shell, which forwards nothing, and other signals end npm alone.
 *
 * @param {{ signal?: NodeJS.Signals, status?: number }} [options] what the children get, and the script's status
 */
export function endChildrenWithScript({ signal = 'SIGTERM', status } = {}) {
  const stop = (reason) => {
    if (stopping) {
      // A second Ctrl-C does not wait.
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
  void npmGone().then(() => stop('SIGTERM'))
}

/** Whether the script is about to end. */
export function isStopping() {
  return stopping
}

function signalGroup({ pid }, signal) {
  if (pid === undefined) return
  try {
    process.kill(process.platform === 'win32' ? pid : -pid, signal)
  } catch {
    // It has ended.
  }
}

/** Resolves when npm ran this script and has gone. */
async function npmGone() {
  if (process.env.npm_lifecycle_event === undefined || process.platform === 'win32') return new Promise(() => {})
  const parent = process.ppid
  // npm runs a shell, which runs this; some shells replace themselves by it. Read at once: when npm has gone, the shell has
  // another parent, which stays.
  const isShell = / -c /.test(processField(parent, 'args') ?? '')
  const npm = isShell ? parentOf(parent) : undefined
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, PARENT_CHECK_INTERVAL).unref())
    if (process.ppid !== parent) return
    if (npm !== undefined && parentOf(parent) !== npm) return
  }
}

/** The id of a process's parent. An orphan gets another one. */
function parentOf(pid) {
  try {
    // Linux. The name of the program, in parentheses, can hold anything.
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
