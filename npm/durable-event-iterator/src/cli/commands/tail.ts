import { Option } from 'commander'
import type { Command } from 'commander'

import { readClaims } from '../../client/claims.js'
import { ChannelApi } from '../api.js'
import { readerOf } from '../credentials.js'
import type { Credential } from '../credentials.js'
import { UsageError } from '../errors.js'
import { addVarsFile, addKey, addLocation, addSigningKey, addUpgradePath, settingsOf } from '../settings.js'
import type { ConnectionOptions } from '../settings.js'
import { readHttp } from '../tail/http-feed.js'
import type { Position } from '../tail/item.js'
import { Report } from '../tail/report.js'
import { readSocket } from '../tail/socket-feed.js'
import { issueToken } from '../tokens.js'
import type { TokenOptions } from '../tokens.js'
import { findUpgradeUrl } from '../upgrade.js'
import { channelName, collect, instant, integer } from '../values.js'
import { addJson, command } from './command.js'

interface Options extends ConnectionOptions {
  readonly after?: string
  readonly last?: number
  readonly since?: number
  readonly limit?: number
  readonly sub?: string
  readonly tags?: string[]
  readonly quiet?: true
  readonly json?: true
}

/** The lifetime of a token, in seconds. It is replaced before it expires. */
const TOKEN_LIFETIME = 3_600

const MAX_LAST = 1_000

export function tailCommand(): Command {
  const tail = command('tail', 'print the events of a channel as they are published', 'tail some-room', 'tail some-room --last 10 --json')
    .argument('<channel>', 'channel name', channelName)
    .addOption(new Option('-n, --last <number>', 'begin with this number of newest events').argParser(integer(0, MAX_LAST)).conflicts(['since', 'after']))
    .addOption(new Option('--since <time>', 'begin at a time: 15m (ago), a date, or seconds since 1970').argParser(instant).conflicts(['after']))
    .option('--after <id>', 'begin after the event with this id')
    .option('--limit <number>', 'exit after this number of events', integer(1, Number.MAX_SAFE_INTEGER))
    .option('--token <token>', 'token of a client (better: DEI_TOKEN)')
    .option('--sub <subject>', 'subject of the token that is issued with the signing key')
    .option('--tags <tag>', 'tag of that token, to receive the events of an audience; repeatable', collect)
    .option('-q, --quiet', 'do not print the states of the connection')
  for (const add of [addLocation, addUpgradePath, addSigningKey, addKey, addVarsFile]) add(tail)
  return addJson(tail, 'print each event as a line of JSON').action(run)
}

async function run(channel: string, options: Options): Promise<void> {
  const settings = settingsOf(options)
  const credential = readerOf(settings, channel)
  checkUse(credential, channel, options)
  const position: Position = options.last !== undefined ? { last: options.last } : options.since !== undefined ? { since: options.since } : undefined
  const stop = new AbortController()
  process.once('SIGINT', () => stop.abort())
  process.once('SIGTERM', () => stop.abort())
  let rest = options.limit ?? Number.POSITIVE_INFINITY
  const report = new Report({
    json: options.json === true,
    quiet: options.quiet === true,
    onPublished: () => {
      rest -= 1
      if (rest <= 0) stop.abort()
    },
  })
  const common = { position, lastEventId: options.after, signal: stop.signal }
  try {
    if (credential.kind === 'access key') {
      const api = new ChannelApi(settings, channel, credential)
      return await readHttp({ ...common, api, url: settings.channels }, report)
    }
    const kind = options.tags === undefined ? 'DurableEventIterator' : 'DurableIterator'
    const claims: TokenOptions = { kind, subject: options.sub, tags: options.tags, lifetime: TOKEN_LIFETIME }
    const issue = async (): Promise<string> => (await issueToken(channel, credential.text, claims)).token
    const isToken = credential.kind === 'token'
    if (!isToken) await issue() // reports invalid claims at once
    // Without an upgrade endpoint, the client continues over HTTP, or reports what responds.
    const upgradeUrl = (await findUpgradeUrl(settings, stop.signal)) ?? `${settings.url}/`
    await readSocket({ ...common, settings, channel, upgradeUrl, credential, token: isToken ? credential.text : issue }, report)
  } catch (error) {
    // Requests are aborted by the user, or by the limit.
    if (!stop.signal.aborted) throw error
  }
}

/** @throws {UsageError} When the credential is not for these options or this channel. */
function checkUse({ kind, text, title }: Credential, channel: string, { sub, tags }: Options): void {
  if (kind === 'signing key') return
  if (sub !== undefined || tags !== undefined) throw new UsageError(`--sub and --tags require a signing key: the ${kind} (${title}) is used`)
  const chn = kind === 'token' ? readClaims(text)?.payload.chn : channel
  if (chn !== channel) throw new UsageError(`the token (${title}) is for channel ${JSON.stringify(chn)}, not for ${JSON.stringify(channel)}`)
}
