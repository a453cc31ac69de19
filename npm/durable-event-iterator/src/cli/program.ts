import { Command } from 'commander'

import { connectionsCommand } from './commands/connections.js'
import { disconnectCommand } from './commands/disconnect.js'
import { doctorCommand } from './commands/doctor.js'
import { presenceCommand } from './commands/presence.js'
import { publishCommand } from './commands/publish.js'
import { revokeCommand } from './commands/revoke.js'
import { statsCommand } from './commands/stats.js'
import { tailCommand } from './commands/tail.js'
import { tokenCommand } from './commands/token.js'

/** The version of the package. The bundler replaces it. */
declare const VERSION: string

const ENVIRONMENT = `
Environment, or the file .dev.vars for a Worker on this machine or at its DEI_URL:
  DEI_URL, DEI_PREFIX, DEI_UPGRADE_PATH           where the Worker is
  DEI_KEY, ACCESS_KEYS, PUBLISH_KEY, READ_KEY,
  INSPECT_KEY                                     access keys
  SIGNING_KEY, DEI_TOKEN                          signing key, token of a client
  NO_COLOR                                        no colors

Exit codes: 0 success, 1 failure, 2 invalid arguments or settings.

Example:
  $ npx durable-event-iterator doctor`

/** Returns the program. It throws a `CommanderError` instead of ending the process. */
export function createProgram(): Command {
  const program = new Command('durable-event-iterator')
    .description('Operates event channels on Cloudflare Durable Objects.')
    .version(VERSION, '-v, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand('help [command]', 'print the help of a command')
    .addHelpText('after', ENVIRONMENT)
  const commands = [
    tailCommand(),
    publishCommand(),
    tokenCommand(),
    statsCommand(),
    presenceCommand(),
    connectionsCommand(),
    disconnectCommand(),
    revokeCommand(),
    doctorCommand(),
  ]
  for (const command of commands) program.addCommand(command.helpOption('-h, --help', 'print this help').copyInheritedSettings(program))
  for (const command of [program, ...commands]) {
    command.exitOverride().showHelpAfterError('Run with --help for the options.')
    command.configureOutput({ outputError: (text, write) => write(withoutValues(text)) })
  }
  return program
}

/** Returns a message of the parser without the values of options and arguments, which may be secrets. An unknown option may contain one too. */
function withoutValues(message: string): string {
  return message
    .replace(/^error: /, 'durable-event-iterator: ')
    .replace(/(unknown option ')(--[^=]*|-.).*'(?=(\n\(Did you mean [^\n]*\n)?\n?$)/s, "$1$2'")
    .replace(/^([^\n]*?option '[^'\n]*') argument '.*' is invalid\. /s, '$1 is invalid: ')
    .replace(/^([^\n]*?)command-argument value '.*' is invalid for argument '(\w+)'\. /s, "$1argument '$2' is invalid: ")
}
