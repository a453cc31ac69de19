import { InvalidArgumentError, Option } from 'commander'
import type { Command } from 'commander'

import { readEnvironment, valueOf } from './environment.js'
import type { Environment, Source } from './environment.js'
import { UsageError } from './errors.js'
import { urlPath, workerUrl } from './values.js'

/** The options of all commands that connect to a Worker. */
export interface ConnectionOptions {
  readonly url?: URL
  readonly prefix?: string
  readonly upgradePath?: string
  readonly key?: string
  readonly signingKey?: string
  readonly token?: string
  readonly varsFile?: string
}

/** Where a Worker is, and the sources of secrets for it. */
export interface Settings {
  /** The URL of the Worker, without a slash at the end. */
  readonly url: string
  /** The URL of the channels over HTTP, such as `http://localhost:8787/channels`. */
  readonly channels: string
  /** The path of the upgrade endpoint, if it is set. */
  readonly upgradePath: string | undefined
  /** Whether the Worker is on this machine. */
  readonly isLocal: boolean
  /** The sources of secrets: flags first. */
  readonly sources: readonly Source[]
  /** The file whose secrets are not used, since the Worker is on another machine, and the file does not name it. */
  readonly unusedFile: string | undefined
}

const DEFAULT_URL = 'http://localhost:8787'
const DEFAULT_PREFIX = '/channels'

/** Adds the options with which a command finds the Worker. */
export function addLocation(command: Command): Command {
  return command
    .addOption(new Option('--url <url>', `URL of the Worker (DEI_URL; default: ${DEFAULT_URL})`).argParser(workerUrl))
    .addOption(new Option('--prefix <path>', `path of the HTTP endpoint (DEI_PREFIX; default: ${DEFAULT_PREFIX})`).argParser(urlPath))
}

/** Adds the option for the path of the upgrade endpoint. */
export function addUpgradePath(command: Command): Command {
  return command.addOption(
    new Option('--upgrade-path <path>', 'path of the WebSocket endpoint (DEI_UPGRADE_PATH; default: / or /events)').argParser(urlPath),
  )
}

/** Adds the option for another file than `.dev.vars`. Node.js itself reads `--env-file`, also after the name of the script. */
export function addVarsFile(command: Command): Command {
  return command.option('--vars-file <file>', 'file with settings and secrets (default: .dev.vars, for a Worker on this machine or at its DEI_URL)')
}

/** Adds the option for an access key. */
export function addKey(command: Command): Command {
  return command.option('--key <key>', 'access key (better: DEI_KEY, since other users can see arguments)')
}

/** Adds the option for a signing key. */
export function addSigningKey(command: Command): Command {
  return command.option('--signing-key <key>', 'signing key (better: SIGNING_KEY, since other users can see arguments)')
}

/**
 * Returns the settings of a command.
 *
 * @throws {UsageError} When a value of the environment is invalid.
 */
export function settingsOf(options: ConnectionOptions): Settings {
  const environment = readEnvironment(options.varsFile)
  const read = <T>(name: string, parse: (text: string) => T): T | undefined => parsed(environment, name, parse)
  const url = options.url ?? read('DEI_URL', workerUrl) ?? new URL(DEFAULT_URL)
  const prefix = options.prefix ?? read('DEI_PREFIX', urlPath) ?? DEFAULT_PREFIX
  const upgradePath = options.upgradePath ?? read('DEI_UPGRADE_PATH', urlPath)
  const isLocal = isLoopback(url.hostname)
  const { process, file, isFileNamed } = environment
  // Its secrets must not be sent to another machine by mistake.
  const isFileUsed = file !== undefined && (isFileNamed || isLocal || (options.url === undefined && isUrlOf(file, url)))
  const flags: Source = {
    title: 'the arguments',
    values: { DEI_KEY: options.key, SIGNING_KEY: options.signingKey, DEI_TOKEN: options.token },
  }
  const base = url.href.replace(/\/+$/, '')
  return {
    url: base,
    channels: base + prefix.replace(/\/+$/, ''),
    upgradePath,
    isLocal,
    sources: [flags, process, ...(isFileUsed ? [file] : [])],
    unusedFile: isFileUsed ? undefined : file?.title,
  }
}

/** Whether a file contains this URL. */
function isUrlOf(file: Source, url: URL): boolean {
  const text = file.values['DEI_URL']
  try {
    return text !== undefined && workerUrl(text).href === url.href
  } catch {
    return false // the URL is from elsewhere
  }
}

function parsed<T>(environment: Environment, name: string, parse: (text: string) => T): T | undefined {
  const found = valueOf(environment, name)
  if (found === undefined) return undefined
  try {
    return parse(found.value)
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error
    throw new UsageError(`${name} in ${found.source.title} is invalid: ${error.message}`)
  }
}

/** Whether a host is this machine. */
function isLoopback(host: string): boolean {
  return /^(localhost|.+\.localhost|127(\.\d+){3}|\[::1\])$/.test(host)
}
