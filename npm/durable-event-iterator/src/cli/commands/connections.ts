import { Option } from 'commander'
import type { Command } from 'commander'

import { ChannelApi } from '../api.js'
import { accessKeyFor } from '../credentials.js'
import { stdout } from '../output.js'
import { addVarsFile, addKey, addLocation, settingsOf } from '../settings.js'
import type { ConnectionOptions } from '../settings.js'
import { plain, table, time } from '../text.js'
import { channelName, integer } from '../values.js'
import { addJson, command } from './command.js'

interface Options extends ConnectionOptions {
  readonly limit?: number
  readonly after?: string
  readonly json?: true
}

/** The response of the endpoint. */
interface Connections {
  readonly connections: readonly {
    readonly connection?: string | null
    readonly subject?: string | null
    readonly tags?: readonly string[]
    readonly issuedAt?: string | number | null
    readonly expiresAt?: string | number | null
    readonly subscription?: string | null
    readonly member?: string | null
  }[]
  readonly next?: string | null
}

const MAX_LIMIT = 1_000

export function connectionsCommand(): Command {
  const connections = command('connections', 'print the connections of a channel', 'connections some-room --limit 20')
    .argument('<channel>', 'channel name', channelName)
    .addOption(new Option('--limit <number>', 'maximum number of connections').argParser(integer(1, MAX_LIMIT)).default(100))
    .option('--after <cursor>', 'continue after the cursor that the previous page ended with')
  for (const add of [addLocation, addKey, addVarsFile]) add(connections)
  return addJson(connections, 'print the response as JSON').action(run)
}

async function run(channel: string, { limit, after, ...options }: Options): Promise<void> {
  const settings = settingsOf(options)
  const api = new ChannelApi(settings, channel, accessKeyFor(settings, 'stats', channel))
  const page = await api.json<Connections>({ last: 'connections', query: { limit, after } }, 'connections')
  if (options.json) return stdout.json(page)
  const rows = page.connections.map(({ connection, subject, tags = [], expiresAt, subscription, member }) => [
    plain(connection ?? '–'),
    plain(subject ?? '–'),
    plain(tags.join(', ') || '–'),
    plain(subscription ?? 'none'),
    timeText(expiresAt),
    plain(member ?? '–'),
  ])
  if (rows.length === 0) return stdout.line('no connections')
  for (const line of table([['CONNECTION', 'SUBJECT', 'TAGS', 'SUBSCRIPTION', 'EXPIRES', 'MEMBER'], ...rows])) await stdout.line(line)
  if (typeof page.next === 'string') await stdout.line(`more: --after ${plain(page.next)}`)
}

function timeText(value: string | number | null | undefined): string {
  if (value === undefined || value === null) return '–'
  const date = new Date(typeof value === 'number' ? value * 1_000 : value)
  return Number.isNaN(date.getTime()) ? plain(String(value)) : time(date)
}
