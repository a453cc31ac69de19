import { Option } from 'commander'
import type { Command } from 'commander'

import { examine } from '../doctor/examine.js'
import type { Finding } from '../doctor/check.js'
import { Failure } from '../errors.js'
import { stdout } from '../output.js'
import type { Style } from '../output.js'
import { addVarsFile, addKey, addLocation, addSigningKey, addUpgradePath, settingsOf } from '../settings.js'
import type { ConnectionOptions } from '../settings.js'
import { count, plain } from '../text.js'
import { channelName } from '../values.js'
import { addJson, command } from './command.js'

interface Options extends ConnectionOptions {
  readonly channel: string
  readonly origin?: string
  readonly json?: true
}

const MARKS: Readonly<Record<Finding['status'], readonly [mark: string, style: Style]>> = {
  ok: ['✓', 'green'],
  warning: ['!', 'yellow'],
  failed: ['✗', 'red'],
  skipped: ['-', 'dim'],
}

export function doctorCommand(): Command {
  const doctor = command('doctor', 'check the Worker, its keys and this machine', 'doctor', 'doctor --url https://channels.example.com --origin https://app.example')
    .addOption(new Option('--channel <channel>', 'channel for the checks; nothing is published on it').argParser(channelName).default('doctor'))
    .option('--token <token>', 'token of a client (better: DEI_TOKEN)')
    .option('--origin <origin>', 'also check that pages of this origin may read over HTTP')
  for (const add of [addLocation, addUpgradePath, addSigningKey, addKey, addVarsFile]) add(doctor)
  return addJson(doctor, 'print the findings as JSON').action(run)
}

async function run({ channel, origin, json, ...options }: Options): Promise<void> {
  const findings: Finding[] = []
  for await (const finding of examine(settingsOf(options), { channel, origin })) {
    findings.push(finding)
    if (json === undefined) await print(finding)
  }
  const problems = findings.filter(({ status }) => status === 'failed').length
  const isOk = problems === 0
  if (json) await stdout.json({ ok: isOk, findings })
  else await stdout.line(isOk ? '\nNo problems found.' : `\n${count(problems, 'problem')} found.`)
  // The findings are the message.
  if (!isOk) throw new Failure('')
}

async function print({ status, title, detail, advice }: Finding): Promise<void> {
  const [mark, style] = MARKS[status]
  await stdout.line(`${stdout.style(style, mark)} ${stdout.style('bold', title)}: ${plain(detail)}`)
  if (advice !== undefined) await stdout.line(`    ${advice}`)
}
