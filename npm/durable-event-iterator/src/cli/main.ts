// The command `npx durable-event-iterator`.

import { CommanderError } from 'commander'

import { messageOf } from '../client/errors.js'
import { Failure } from './errors.js'
import { stderr, stdout } from './output.js'
import { createProgram } from './program.js'
import { plain } from './text.js'

/** The exit code for invalid arguments. */
const USAGE = 2

async function main(): Promise<number> {
  try {
    await createProgram().parseAsync()
    return 0
  } catch (error) {
    // The parser has printed its message.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : USAGE
    if (error instanceof Failure) {
      if (error.message !== '') await stderr.line(`durable-event-iterator: ${plain(error.message)}`)
      return error.exitCode
    }
    await stderr.line(`durable-event-iterator: unexpected error: ${plain(messageOf(error))}`)
    if (process.env['DEI_DEBUG']) await stderr.line(error instanceof Error ? (error.stack ?? '') : '')
    return 1
  }
}

process.exitCode = await main()
await Promise.all([stdout.flush(), stderr.flush()])
// Sockets that are still closing must not keep the process.
process.exit()
