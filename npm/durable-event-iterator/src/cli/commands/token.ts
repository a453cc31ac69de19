import { Option } from 'commander'
import type { Command } from 'commander'

import type { ClientKind } from '../../token/payload.js'
import { signingKeyOf } from '../credentials.js'
import { stdout } from '../output.js'
import { addVarsFile, addSigningKey, settingsOf } from '../settings.js'
import type { ConnectionOptions } from '../settings.js'
import { issueToken } from '../tokens.js'
import { channelName, collect, json, seconds } from '../values.js'
import { addJson, command } from './command.js'

interface Options extends ConnectionOptions {
  readonly kind?: ClientKind
  readonly sub?: string
  readonly tags?: string[]
  readonly procedures?: string[]
  readonly attachment?: unknown
  readonly ttl: number
  readonly json?: true
}

export function tokenCommand(): Command {
  const token = command('token', 'issue a token for a channel', 'token some-room --sub user-17 --ttl 15m', 'token some-room --procedures say --attachment \'{"name":"Anna"}\'')
    .argument('<channel>', 'channel name', channelName)
    .addOption(new Option('--kind <kind>', 'kind of clients (default: DurableIterator with tags, otherwise DurableEventIterator)').choices(['DurableEventIterator', 'DurableIterator']))
    .option('--sub <subject>', 'subject: who the client is, such as a user id')
    .option('--tags <tag>', 'tag of the client, for audiences; repeatable', collect)
    .option('--procedures <name>', 'procedure that the client may call; repeatable', collect)
    .option('--attachment <json>', 'attachment of the token', json)
    .addOption(new Option('--ttl <duration>', 'lifetime, such as 90s, 15m, 2h or 7d').argParser(seconds).default(3_600, '1h'))
  addSigningKey(token)
  // The Worker's URL decides whether the file may be used.
  addVarsFile(token)
  return addJson(token, 'print the token and its claims as JSON').action(async (channel: string, options: Options) => {
    const { kind = options.tags === undefined ? 'DurableEventIterator' : 'DurableIterator', sub, tags, procedures, attachment, ttl } = options
    const signingKey = signingKeyOf(settingsOf(options))
    const issued = await issueToken(channel, signingKey, { kind, subject: sub, tags, procedures, attachment, lifetime: ttl })
    if (options.json) await stdout.json({ ...issued, kind })
    else await stdout.line(issued.token)
  })
}
