import type { Command } from 'commander'

import { ChannelApi } from '../api.js'
import { accessKeyFor } from '../credentials.js'
import { inspected } from '../inspected.js'
import { stdout } from '../output.js'
import { addVarsFile, addKey, addLocation, settingsOf } from '../settings.js'
import type { ConnectionOptions } from '../settings.js'
import { count, plain, table } from '../text.js'
import { channelName } from '../values.js'
import { addJson, command } from './command.js'

interface Options extends ConnectionOptions {
  readonly json?: true
}

/** The response of the endpoint. */
interface Presence {
  readonly members: readonly { readonly id: string; readonly state?: unknown; readonly connections: number }[]
}

export function presenceCommand(): Command {
  const presence = command('presence', 'print the members that are present on a channel', 'presence some-room').argument('<channel>', 'channel name', channelName)
  for (const add of [addLocation, addKey, addVarsFile]) add(presence)
  return addJson(presence, 'print the response as JSON').action(run)
}

async function run(channel: string, options: Options): Promise<void> {
  const settings = settingsOf(options)
  const api = new ChannelApi(settings, channel, accessKeyFor(settings, 'read', channel))
  const presence = await api.json<Presence>({ last: 'presence' }, 'members')
  if (options.json) return stdout.json(presence)
  const { members } = presence
  await stdout.line(`${count(members.length, 'member')} present`)
  const rows = members.map(({ id, state, connections }) => [
    plain(id),
    connections === 0 ? 'left, may return' : count(connections, 'connection'),
    state === undefined ? '' : inspected(state),
  ])
  for (const line of table(rows)) await stdout.line(`  ${line}`)
}
