import { Option } from 'commander'
import type { Command } from 'commander'

import { ChannelApi } from '../api.js'
import { accessKeyFor } from '../credentials.js'
import { UsageError } from '../errors.js'
import { stdout } from '../output.js'
import { addVarsFile, addKey, addLocation, settingsOf } from '../settings.js'
import type { ConnectionOptions } from '../settings.js'
import { count } from '../text.js'
import { channelName, instant } from '../values.js'
import { addJson, command } from './command.js'

interface Options extends ConnectionOptions {
  readonly connection?: string
  readonly subject?: string
  readonly issuedBefore?: number
  readonly reason?: string
  readonly json?: true
}

export function revokeCommand(): Command {
  const revoke = command(
    'revoke',
    'reject the tokens of a connection or a subject, or older tokens, and close their connections',
    'revoke some-room --subject user-17 --reason "Banned"',
  )
    .argument('<channel>', 'channel name', channelName)
    .option('--connection <id>', 'tokens that this connection id uses')
    .option('--subject <subject>', 'tokens of this subject')
    .addOption(new Option('--issued-before <time>', 'tokens issued before a time: 15m (ago), a date, or seconds since 1970').argParser(instant))
    .option('--reason <text>', 'reason that the clients receive')
  for (const add of [addLocation, addKey, addVarsFile]) add(revoke)
  return addJson(revoke, 'print the response as JSON').action(run)
}

async function run(channel: string, { connection, subject, issuedBefore, reason, json, ...options }: Options): Promise<void> {
  if ([connection, subject, issuedBefore].filter((value) => value !== undefined).length !== 1) {
    throw new UsageError('pass exactly one of --connection, --subject and --issued-before')
  }
  const settings = settingsOf(options)
  const api = new ChannelApi(settings, channel, accessKeyFor(settings, 'disconnect', channel))
  const body = JSON.stringify({ connection, subject, issuedBefore, reason })
  const headers = { 'content-type': 'application/json' }
  const result = await api.json<{ readonly disconnected: number }>({ method: 'POST', last: 'revoke', body, headers }, 'disconnected')
  if (json) return stdout.json(result)
  await stdout.line(`revoked; disconnected ${count(result.disconnected, 'client')}`)
}
