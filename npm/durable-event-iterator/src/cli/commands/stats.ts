import { Option } from 'commander'
import type { Command } from 'commander'

import { ChannelApi } from '../api.js'
import { accessKeyFor } from '../credentials.js'
import { stdout } from '../output.js'
import { addVarsFile, addKey, addLocation, settingsOf } from '../settings.js'
import type { ConnectionOptions } from '../settings.js'
import { bytes, count, duration, plain, table, time, timeOfId } from '../text.js'
import { channelName, integer } from '../values.js'
import { addJson, command } from './command.js'

interface Options extends ConnectionOptions {
  readonly timeline?: number
  readonly json?: true
}

/** The response of the endpoint. */
interface Stats {
  readonly sockets: number
  readonly subscriptions: number
  readonly parked: number
  readonly members: number | null
  readonly events: {
    readonly count: number
    readonly bytes: number
    readonly firstId: string | null
    readonly lastId: string | null
    readonly retentionSeconds: number
    readonly maxEvents: number
    readonly maxBytes: number
  }
  readonly since: string
  readonly published: number
  readonly duplicates: number
  readonly delivered: number
  readonly gaps: number
  readonly parkings: number
  readonly rejections: Readonly<Record<string, number>>
  readonly disconnected: number
  readonly databaseBytes: number
  readonly timeline?: readonly { readonly from: string; readonly events: number; readonly bytes: number }[]
}

const MAX_BUCKETS = 240

export function statsCommand(): Command {
  const stats = command('stats', 'print what a channel holds and does', 'stats some-room', 'stats some-room --timeline 20')
    .argument('<channel>', 'channel name', channelName)
    .addOption(new Option('--timeline <number>', 'also print this number of intervals of the retention window').argParser(integer(1, MAX_BUCKETS)))
  for (const add of [addLocation, addKey, addVarsFile]) add(stats)
  return addJson(stats, 'print the response as JSON').action(run)
}

async function run(channel: string, { timeline, ...options }: Options): Promise<void> {
  const settings = settingsOf(options)
  const api = new ChannelApi(settings, channel, accessKeyFor(settings, 'stats', channel))
  const stats = await api.json<Stats>({ query: { timeline } }, 'events')
  if (options.json) return stdout.json(stats)
  for (const line of table(rowsOf(stats))) await stdout.line(plain(line))
  if (stats.timeline !== undefined) for (const line of timelineOf(stats.timeline)) await stdout.line(plain(line))
}

function rowsOf(stats: Stats): string[][] {
  const { events, rejections, members } = stats
  const number = (value: number): string => value.toLocaleString('en')
  const since = new Date(stats.since)
  const rejected = Object.entries(rejections).filter(([, times]) => times > 0)
  return [
    ['Sockets', `${number(stats.sockets)} (${count(stats.subscriptions, 'subscription')}, ${number(stats.parked)} parked)`],
    ...(members === null ? [] : [['Present', count(members, 'member')]]),
    ['Retained', `${count(events.count, 'event')}, ${bytes(events.bytes)}`],
    ...(events.firstId === null ? [] : [['First event', idAndTime(events.firstId)]]),
    ...(events.lastId === null ? [] : [['Last event', idAndTime(events.lastId)]]),
    ['Retention', `${duration(events.retentionSeconds)}, ${count(events.maxEvents, 'event')}, ${bytes(events.maxBytes)}`],
    ['Database', bytes(stats.databaseBytes)],
    ['Since', Number.isNaN(since.getTime()) ? stats.since : `${time(since)} (start of this instance)`],
    ['Published', `${number(stats.published)} (${count(stats.duplicates, 'duplicate')})`],
    ['Delivered', number(stats.delivered)],
    ['Gaps', number(stats.gaps)],
    ['Parkings', number(stats.parkings)],
    ['Disconnected', number(stats.disconnected)],
    ['Rejected', rejected.length === 0 ? '0' : rejected.map(([reason, times]) => `${number(times)} ${reason}`).join(', ')],
  ]
}

function idAndTime(id: string): string {
  const at = timeOfId(id)
  return at === undefined ? id : `${id} (${time(at)})`
}

const BAR_WIDTH = 30

function timelineOf(timeline: NonNullable<Stats['timeline']>): string[] {
  const most = Math.max(1, ...timeline.map(({ events }) => events))
  const rows = timeline.map(({ from, events, bytes: size }) => [
    time(new Date(from)),
    '█'.repeat(Math.ceil((events / most) * BAR_WIDTH)).padEnd(BAR_WIDTH),
    count(events, 'event'),
    bytes(size),
  ])
  return ['', ...table(rows)]
}
