import { createInterface } from 'node:readline'

import { Option } from 'commander'
import type { Command } from 'commander'

import { ChannelApi } from '../api.js'
import { accessKeyFor } from '../credentials.js'
import { Failure, UsageError } from '../errors.js'
import { stderr, stdout } from '../output.js'
import { Publisher, PublishError } from '../publish/publisher.js'
import type { Published, PublishOptions } from '../publish/publisher.js'
import { publishLines } from '../publish/lines.js'
import { addVarsFile, addKey, addLocation, settingsOf } from '../settings.js'
import type { ConnectionOptions } from '../settings.js'
import { count, plain } from '../text.js'
import { channelName, collect, idempotencyKey, integer, jsonText } from '../values.js'
import { addJson, command } from './command.js'

interface Options extends ConnectionOptions {
  readonly to?: string[]
  readonly tags?: string[]
  readonly except?: string[]
  readonly retry?: number
  readonly comment?: string[]
  readonly idempotencyKey?: string
  readonly json?: true
}

/** The maximum retry delay of an event, in milliseconds: `MAX_RETRY_MS` in `event_meta.rs` of the wire format. */
const MAX_RETRY_MS = 2_147_483_647

/** The maximum length of the idempotency key of lines, whose keys end with `#` and up to 14 digits. Other keys have up to 255 characters. */
const MAX_KEY_OF_LINES = 240

export function publishCommand(): Command {
  const publish = command(
    'publish',
    'publish an event, or the lines of the standard input as events',
    'publish some-room \'{"message":"Hello"}\'',
    'publish some-room < events.jsonl',
  )
    .argument('<channel>', 'channel name', channelName)
    .argument('[event]', 'JSON of the event; without it, each line of the standard input is the JSON of an event', jsonText)
    .option('--to <id>', 'only the client with this connection id receives the event; repeatable', collect)
    .option('--tags <tag>', 'only clients with this tag receive the event; repeatable', collect)
    .option('--except <id>', 'the client with this connection id does not receive the event; repeatable', collect)
    .addOption(new Option('--retry <milliseconds>', 'event meta: delay before a client retries').argParser(integer(0, MAX_RETRY_MS)))
    .option('--comment <text>', 'event meta: comment; repeatable', collect)
    .option('--idempotency-key <key>', 'publish only once; line n of the standard input has the key <key>#<n>', idempotencyKey)
  for (const add of [addLocation, addKey, addVarsFile]) add(publish)
  return addJson(publish, 'print a line of JSON for each event').action(run)
}

async function run(channel: string, event: string | undefined, options: Options): Promise<void> {
  const { to, tags, except, retry, comment: comments, idempotencyKey: key } = options
  if (event === undefined && key !== undefined && key.length > MAX_KEY_OF_LINES) {
    throw new UsageError(`--idempotency-key for lines must be 1–${MAX_KEY_OF_LINES} characters, got ${key.length}, since line n has the key <key>#<n>`)
  }
  const settings = settingsOf(options)
  const api = new ChannelApi(settings, channel, accessKeyFor(settings, 'publish', channel))
  const publisher = new Publisher(api, defined({ to, tags, except, retry, comments }))
  if (event !== undefined) {
    const published = await publisher.publish(event, key).catch((error: unknown) => {
      const mayBePublished = error instanceof PublishError && error.mayBePublished
      throw mayBePublished ? new Failure(`it is unknown whether the event is published: ${error.message}`) : error
    })
    if (options.json) await stdout.json(published)
    else await stdout.line(describe(published))
    return
  }
  if (process.stdin.isTTY) await stderr.line('Enter one event in JSON per line. End with Ctrl+D (Windows: Ctrl+Z, Enter).')
  // A reader of the output that ends, as `head` does, must not end the publishing.
  stdout.outliveReader()
  const total = { events: 0, duplicates: 0, lastId: '' }
  await publishLines(createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY }), {
    publisher,
    idempotencyKey: key,
    onPublished: async (published) => {
      for (const one of published) {
        total.events += 1
        if (one.duplicate) total.duplicates += 1
        total.lastId = one.id
        if (options.json) await stdout.json(one)
      }
      if (!options.json && process.stdin.isTTY) await stdout.line(published.map(describe).join('\n'))
    },
  })
  if (options.json) return
  const duplicates = total.duplicates === 0 ? '' : `, of which ${count(total.duplicates, 'duplicate')}`
  await stdout.line(`published ${count(total.events, 'event')}${duplicates}${total.lastId === '' ? '' : `, last id ${plain(total.lastId)}`}`)
}

function describe({ id, duplicate }: Published): string {
  return duplicate ? `duplicate of ${plain(id)}` : `published ${plain(id)}`
}

function defined(options: { [K in keyof PublishOptions]: PublishOptions[K] | undefined }): PublishOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
}
