#!/usr/bin/env node
// The command `npm create durable-event-iterator`.

import { resolve } from 'node:path'

import { help, parseArguments } from './arguments.js'
import { UserError } from './errors.js'
import { createProject, projectName, version } from './project.js'
import { complete } from './prompts.js'
import { templates } from './templates.js'
import type { Template, TemplateName } from './templates.js'

async function main(): Promise<void> {
  const options = parseArguments(process.argv.slice(2))
  if (options.help) return print(help)
  if (options.version) return print(`${version}\n`)

  const { folder, template } = await complete(options)
  const name = projectName(folder, options.name)
  createProject({ folder, name, template })
  print(nextSteps(folder, template))
}

function nextSteps(folder: string, template: TemplateName): string {
  const { requires }: Template = templates[template]
  const manager = process.env.npm_config_user_agent?.split('/')[0] ?? 'npm'
  const isHere = resolve(folder) === process.cwd()
  const lines = [
    `Created the template ${template} in ${isHere ? 'this folder' : folder}. Start it with:`,
    '',
    ...(isHere ? [] : [`  cd ${folder.includes(' ') ? JSON.stringify(folder) : folder}`]),
    `  ${manager} install`,
    `  ${manager} run dev`,
    ...(requires === undefined ? [] : ['', `It requires ${requires}.`]),
  ]
  return `\n${lines.join('\n')}\n\n`
}

/** Whether the message is enough: the user's mistake, or an error of the file system, such as a missing permission. */
function isExpected(error: unknown): error is Error {
  return error instanceof UserError || (error instanceof Error && 'syscall' in error)
}

function print(text: string): void {
  process.stdout.write(text)
}

try {
  await main()
} catch (error) {
  if (!isExpected(error)) throw error
  process.stderr.write(`create-durable-event-iterator: ${error.message}\n`)
  process.exitCode = error instanceof UserError ? error.exitCode : 1
}
