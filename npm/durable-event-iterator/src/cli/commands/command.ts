// What all commands share.

import { Command } from 'commander'

/** Returns a command with an example in its help. */
export function command(name: string, description: string, ...examples: readonly string[]): Command {
  const lines = examples.map((example) => `  $ npx durable-event-iterator ${example}`)
  return new Command(name).description(description).addHelpText('after', `\nExample:\n${lines.join('\n')}`)
}

/** Adds the option for output that programs read. */
export function addJson(target: Command, what: string): Command {
  return target.option('--json', what)
}
