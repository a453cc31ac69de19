import { isCancel, select, text } from '@clack/prompts'

import { defaults } from './arguments.js'
import type { Arguments } from './arguments.js'
import { CancelledError, UsageError } from './errors.js'
import { projectName, requireUsableFolder } from './project.js'
import { templateNames, templates } from './templates.js'
import type { TemplateName } from './templates.js'

export interface Answers {
  folder: string
  template: TemplateName
}

/**
 * Returns the folder and the template: from the arguments, then from `--yes`, then from prompts.
 *
 * @throws {UsageError} A value is missing and there is no terminal.
 * @throws {CancelledError} The user cancelled a prompt.
 */
export async function complete({ folder, template, name, yes }: Arguments): Promise<Answers> {
  if (yes) return { folder: folder ?? defaults.folder, template: template ?? defaults.template }
  if (folder !== undefined && template !== undefined) return { folder, template }
  if (!process.stdin.isTTY) throw new UsageError(missing(folder, template))
  return { folder: folder ?? (await askFolder(name)), template: template ?? (await askTemplate()) }
}

function missing(folder: string | undefined, template: string | undefined): string {
  const values = [
    ...(folder === undefined ? ['the folder'] : []),
    ...(template === undefined ? [`--template ${templateNames.join('|')}`] : []),
  ]
  return `without a terminal, pass ${values.join(' and ')}, or --yes for the defaults. npm passes options only after \`--\``
}

async function askFolder(name: string | undefined): Promise<string> {
  const folder = await text({
    message: 'Folder of the project',
    placeholder: defaults.folder,
    defaultValue: defaults.folder,
    validate: (value) => problemOf(value || defaults.folder, name),
  })
  return answerOf(folder)
}

async function askTemplate(): Promise<TemplateName> {
  const template = await select({
    message: 'Template',
    initialValue: defaults.template as TemplateName,
    options: templateNames.map((value) => ({ value, label: value, hint: templates[value].description })),
  })
  return answerOf(template)
}

function problemOf(folder: string, name: string | undefined): string | undefined {
  try {
    requireUsableFolder(folder)
    projectName(folder, name)
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

function answerOf<T>(answer: T): Exclude<T, symbol> {
  if (isCancel(answer)) throw new CancelledError()
  return answer as Exclude<T, symbol>
}
