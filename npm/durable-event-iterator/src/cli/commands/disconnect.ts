import type { Command } from 'commander'

import { ChannelApi } from '../api.js'
import { accessKeyFor } from '../credentials.js'
import { UsageError } from '../errors.js'
import { stdout } from '../output.js'
import { addVarsFile, addKey, addLocation, settingsOf } from '../settings.js'
import type { ConnectionOptions } from '../settings.js'
import { count } from '../text.js'
import { channelName, collect } from '../values.js'
import { addJson, command } from './command.js'

interface Options extends ConnectionOptions {
  readonly to?: string[]
  readonly tags?: string[]
  readonly except?: string[]
  readonly everyone?: true
  readonly reason?: string
  readonly json?: true
}

export function disconnectCommand(): Command {
  const disconnect = command(
    'disconnect',
    'close connections; their clients may reconnect, unless their tokens are revoked',
    'disconnect some-room --tags trial --reason "Maintenance"',
  )
    .argument('<channel>', 'channel name', channelName)
    .option('--to <id>', 'the client with this connection id; repeatable', collect)
    .option('--tags <tag>', 'clients with this tag; repeatable', collect)
    .option('--except <id>', 'not the client with this connection id; repeatable', collect)
    .option('--everyone', 'all clients')
    .option('--reason <text>', 'reason that the clients receive')
  for (const add of [addLocation, addKey, addVarsFile]) add(disconnect)
  return addJson(disconnect, 'print the response as JSON').action(run)
}

async function run(channel: string, { to, tags, except, everyone, reason, json, ...options }: Options): Promise<void> {
  // As the endpoint: nobody is disconnected because a selection was forgotten.
  const isSelection = to !== undefined || tags !== undefined
  if (!isSelection && everyone === undefined) throw new UsageError('pass --to, --tags or --everyone')
  if (isSelection && everyone !== undefined) throw new UsageError('pass either --everyone, or --to and --tags')
  const settings = settingsOf(options)
  const api = new ChannelApi(settings, channel, accessKeyFor(settings, 'disconnect', channel))
  const body = JSON.stringify({ to, tags, except, everyone, reason })
  const result = await api.json<{ readonly disconnected: number }>({ method: 'POST', last: 'disconnect', body, headers: JSON_BODY }, 'disconnected')
  if (json) return stdout.json(result)
  await stdout.line(`disconnected ${count(result.disconnected, 'client')}`)
}

const JSON_BODY = { 'content-type': 'application/json' }
