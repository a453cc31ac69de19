import { parseArgs } from 'node:util'

import { UsageError } from './errors.js'
import { isTemplateName, templateNames, templates } from './templates.js'
import type { TemplateName } from './templates.js'

export interface Arguments {
  folder: string | undefined
  template: TemplateName | undefined
  name: string | undefined
  yes: boolean
  help: boolean
  version: boolean
}

/** The values of `--yes`. */
export const defaults = { folder: 'my-channels', template: 'typescript' } as const satisfies Partial<Arguments>

const templateLines = templateNames.map((name) => `  ${name.padEnd(12)}${templates[name].description}`).join('\n')

export const help = `Creates a project with durable-event-iterator: a Worker, a page and a test.

Usage: npm create durable-event-iterator [folder] -- [options]

Options:
  -t, --template <name>  ${templateNames.join(', ')}
      --name <name>      name of the package and the Worker (default: name of the folder)
  -y, --yes              ask nothing: folder ${defaults.folder}, template ${defaults.template} unless given
  -h, --help             print this help
  -v, --version          print the version

Templates:
${templateLines}
`

/** @throws {UsageError} An option or its value is invalid. */
export function parseArguments(args: readonly string[]): Arguments {
  const { values, positionals } = parse(args)
  const { template, name, yes, help, version } = values
  if (positionals.length > 1) throw new UsageError(`expected one folder, got ${positionals.length}: ${positionals.join(', ')}`)
  if (template !== undefined && !isTemplateName(template)) {
    throw new UsageError(`unknown template ${JSON.stringify(template)}: use ${templateNames.join(', ')}`)
  }
  return { folder: positionals[0], template, name, yes, help, version }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        template: { type: 'string', short: 't' },
        name: { type: 'string' },
        yes: { type: 'boolean', short: 'y', default: false },
        help: { type: 'boolean', short: 'h', default: false },
        version: { type: 'boolean', short: 'v', default: false },
      },
    })
  } catch (error) {
    // Node.js appends advice that does not apply here.
    const [reason] = (error as Error).message.split('. ')
    throw new UsageError(`${reason}: run with --help for the options`)
  }
}
