// The arguments, settings and exit codes of the command line, without a Worker.

import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { signDurableIteratorToken } from '../../npm/durable-event-iterator/src/index.ts'
import { CommandLine, nodes } from '../support/command-line.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
/** A port at which nothing listens. */
const NOWHERE = 'http://127.0.0.1:9'
const SECRET = 'a-secret-that-is-never-printed'
/** A token for the channel `room`. */
const TOKEN = await signDurableIteratorToken(SECRET, { chn: 'room', rpc: [], iat: 0, exp: 1 })

let cli: CommandLine
beforeAll(async () => {
  cli = await CommandLine.build()
})
afterAll(() => cli.dispose())

const COMMANDS = ['tail', 'publish', 'token', 'stats', 'presence', 'connections', 'disconnect', 'revoke', 'doctor']

test('--help lists the commands and the exit codes', async () => {
  const { status, stdout, stderr } = await cli.run(['--help'])
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  for (const text of [...COMMANDS, 'Exit codes: 0 success, 1 failure, 2 invalid']) expect(stdout).toContain(text)
})

test.each(COMMANDS)('docs/command-line.md contains each option of %s', async (command) => {
  const page = await readFile(join(root, 'docs/command-line.md'), 'utf8')
  const [beginning, ...sections] = page.split(/^## /m)
  const sectionOf = (title: string): string => sections.find((section) => section.startsWith(`${title}\n`)) ?? ''
  const text = [beginning, sectionOf('Settings'), sectionOf(command)].join('')
  const { stdout } = await cli.run([command, '--help'])
  const options = [...stdout.matchAll(/^  (?:(-\w), )?(--[\w-]+)/gm)].flatMap(([, short, long]) => [short, long]).filter((option) => option !== undefined && option !== '-h')
  expect(options).toContain('--json')
  expect(options.filter((option) => !new RegExp(`[\`\\s]${option}[\`\\s]`).test(text))).toEqual([])
})

test.each(COMMANDS)('%s --help has an example and the output as JSON', async (command) => {
  const { status, stdout } = await cli.run([command, '--help'])
  expect(status).toBe(0)
  expect(stdout).toContain(`$ npx durable-event-iterator ${command}`)
  expect(stdout).toContain('--json')
})

test.each(Object.entries(nodes))('--version prints the version of the package with the %s Node.js', async (_, node) => {
  const { version } = JSON.parse(await readFile(join(root, 'npm/durable-event-iterator/package.json'), 'utf8'))
  expect(await cli.run(['--version'], node === undefined ? {} : { node })).toMatchObject({ status: 0, stdout: `${version}\n` })
})

test('the bundle is executable and contains the licenses of its packages', async () => {
  const bundle = await readFile(cli.bundle, 'utf8')
  expect(bundle.startsWith('#!/usr/bin/env node\n')).toBe(true)
  for (const name of ['commander', 'ws']) expect(bundle).toMatch(new RegExp(`/\\*!\\n${name} \\d[\\d.]+ \\(MIT\\)\\n\\n[^]*?Permission is hereby granted`))
})

describe('invalid arguments end with 2 and a message', () => {
  test.each([
    ['no command', [], 'Usage:'],
    ['an unknown command', ['listen'], "unknown command 'listen'"],
    ['a similar command', ['tial', 'room'], 'Did you mean tail?'],
    ['an unknown option', ['tail', 'room', '--fast'], "unknown option '--fast'"],
    ['no channel', ['stats'], "missing required argument 'channel'"],
    ['a second channel', ['stats', 'a', 'b'], 'too many arguments'],
    ['a number out of its range', ['tail', 'room', '--last', '1001'], 'Expected an integer from 0 to 1000.'],
    ['two positions', ['tail', 'room', '--last', '1', '--since', '1h'], "option '-n, --last <number>' cannot be used with option '--since <time>'"],
    ['an invalid time', ['tail', 'room', '--since', 'yesterday'], 'Expected a duration before now (15m), a date'],
    ['an invalid duration', ['token', 'room', '--ttl', '1y'], 'Expected a duration, such as 90s, 15m, 2h or 7d.'],
    ['an unknown kind', ['token', 'room', '--kind', 'Other'], 'Allowed choices are DurableEventIterator, DurableIterator'],
    ['an invalid attachment', ['token', 'room', '--attachment', '{'], 'Expected JSON'],
    ['an event that is not JSON', ['publish', 'room', 'Hello'], 'Expected JSON'],
    ['an invalid idempotency key', ['publish', 'room', '{}', '--idempotency-key', 'a b'], 'Expected 1–255 visible ASCII characters.'],
    ['a long idempotency key', ['publish', 'room', '{}', '--idempotency-key', 'a'.repeat(256)], 'Expected 1–255 visible ASCII characters.'],
    ['a long idempotency key of lines', ['publish', 'room', '--idempotency-key', 'a'.repeat(241)], '--idempotency-key for lines must be 1–240 characters, got 241'],
    ['a long retry delay', ['publish', 'room', '{}', '--retry', '2147483648'], 'Expected an integer from 0 to 2147483647.'],
    ['no channel name', ['stats', ''], "argument 'channel' is invalid: channel name must be 1–512 bytes, got 0."],
    ['a long channel name', ['doctor', '--channel', 'c'.repeat(513)], "option '--channel <channel>' is invalid: channel name must be 1–512 bytes, got 513."],
    ['a time before 1970', ['tail', 'room', '--since', '99999d'], 'Expected a duration before now (15m), a date'],
    ['a text that is not a token', ['tail', 'room', '--token', SECRET], 'DEI_TOKEN of the arguments is invalid: expected the token of'],
    ['a token that no header can contain', ['tail', 'room', '--token', `${TOKEN}\n${SECRET}`], 'DEI_TOKEN of the arguments is invalid: expected the token of'],
    ['a token for another channel', ['tail', 'other', '--token', TOKEN], 'the token (DEI_TOKEN of the arguments) is for channel "room", not for "other"'],
    ['tags with a token', ['tail', 'room', '--token', TOKEN, '--tags', 'a'], '--sub and --tags require a signing key: the token (DEI_TOKEN of the arguments) is used'],
    ['a subject with a token', ['tail', 'room', '--token', TOKEN, '--sub', 'a'], '--sub and --tags require a signing key: the token'],
    ['tags with an access key', ['tail', 'room', '--key', SECRET, '--tags', 'a'], '--sub and --tags require a signing key: the access key (DEI_KEY of the arguments) is used'],
    ['a secret of a misspelled option', ['tail', 'room', `--signingkey=${SECRET}`], "unknown option '--signingkey'"],
    ['a secret with line breaks of a misspelled option', ['tail', 'room', `--signingkey=a'\n${SECRET}`], "unknown option '--signingkey'"],
    ['a secret of an unknown short option', ['stats', 'room', `-k${SECRET}`], "unknown option '-k'"],
    ['a URL with a user', ['stats', 'room', '--url', `https://user:${SECRET}@localhost`], "option '--url <url>' is invalid: Expected a URL without user, query and fragment."],
    ['a URL with a password', ['stats', 'room', '--url', `https://:${SECRET}@localhost`], 'Expected a URL without user, query and fragment.'],
    ['a URL that is invalid', ['stats', 'room', '--url', `https://user:${SECRET}@`], 'Expected a URL, such as https://channels.example.com.'],
    ['an access key that no header can contain', ['stats', 'room', '--key', '🔑'], 'DEI_KEY of the arguments has characters that are not ASCII'],
    ['a URL of another protocol', ['stats', 'room', '--url', 'ftp://localhost'], 'Expected a URL with http: or https:.'],
    ['a URL with a secret', ['stats', 'room', '--url', 'http://localhost?token=1'], 'Expected a URL without user, query and fragment.'],
    ['a relative path', ['stats', 'room', '--prefix', 'channels'], 'Expected a path that begins with a slash'],
    ['no recipients', ['disconnect', 'room', '--except', 'a', '--key', SECRET], 'pass --to, --tags or --everyone'],
    ['everyone and some', ['disconnect', 'room', '--everyone', '--to', 'a'], 'pass either --everyone, or --to and --tags'],
    ['two revocations', ['revoke', 'room', '--subject', 'a', '--connection', 'b'], 'pass exactly one of --connection, --subject and --issued-before'],
    ['no revocation', ['revoke', 'room'], 'pass exactly one of'],
    ['a missing file', ['stats', 'room', '--vars-file', 'none.vars'], 'file none.vars does not exist'],
    ['a file that cannot be read', ['stats', 'room', '--vars-file', '.'], 'cannot read .: EISDIR'],
    ['no signing key', ['token', 'room'], 'no signing key: set SIGNING_KEY in the environment or in .dev.vars, or pass --signing-key'],
    ['no access key', ['publish', 'room', '{}'], 'no access key with the right publish: set DEI_KEY, PUBLISH_KEY, ACCESS_KEYS or INSPECT_KEY'],
    ['no secret of a reader', ['tail', 'room'], 'no token and no key with the right read'],
  ])('%s', async (_, args, message) => {
    const { status, stdout, stderr } = await cli.run(args)
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(stderr).toContain(message)
    if (args.length > 0) expect(stderr).toMatch(/^durable-event-iterator: /)
    expect(stderr).not.toMatch(/\n +at |Error:/)
    expect(stderr).not.toContain(SECRET)
    expect(stderr).not.toContain(TOKEN)
  })

  test.each([
    ['DEI_URL', 'nowhere', 'DEI_URL in the environment is invalid: Expected a URL'],
    ['DEI_PREFIX', 'channels', 'DEI_PREFIX in the environment is invalid: Expected a path'],
    ['ACCESS_KEYS', `[{"name":"${SECRET}"}]`, 'ACCESS_KEYS of the environment is invalid: expected a JSON array of {"key", "name"?, "prefix"?, "rights"}'],
    ['ACCESS_KEYS', SECRET, 'ACCESS_KEYS of the environment is invalid'],
  ])('%s=%s', async (name, value, message) => {
    const { status, stderr } = await cli.run(['stats', 'room'], { env: { [name]: value } })
    expect(status).toBe(2)
    expect(stderr).toContain(message)
    expect(stderr).not.toContain(SECRET)
  })
})

describe('the secrets of .dev.vars', () => {
  beforeAll(() => writeFile(join(cli.folder, '.dev.vars'), `# secrets\nSIGNING_KEY="${SECRET}"\nACCESS_KEYS='[{"key":"${SECRET}","name":"billing","prefix":"orders/","rights":["publish"]}]'\n`))
  afterAll(() => writeFile(join(cli.folder, '.dev.vars'), ''))

  test('are used for a Worker on this machine', async () => {
    const { status, stderr } = await cli.run(['publish', 'orders/1', '{}'], { env: { DEI_URL: NOWHERE } })
    expect(status).toBe(1)
    expect(stderr).toContain(`cannot reach ${NOWHERE}`)
  })

  test('are not sent to another machine, unless the file is named', async () => {
    const args = ['publish', 'orders/1', '{}', '--url', 'http://channels.invalid']
    const without = await cli.run(args)
    expect(without.status).toBe(2)
    expect(without.stderr).toContain('(.dev.vars is not used, since the Worker is on another machine; --vars-file .dev.vars uses it)')
    const named = await cli.run([...args, '--vars-file', '.dev.vars'])
    expect(named.status).toBe(1)
    expect(named.stderr).toContain('cannot reach http://channels.invalid')
    for (const { stderr } of [without, named]) expect(stderr).not.toContain(SECRET)
  })

  test('are sent to the Worker that the file names', async () => {
    const file = join(cli.folder, '.dev.vars')
    const secrets = await readFile(file, 'utf8')
    await writeFile(file, `${secrets}DEI_URL=http://channels.invalid\n`)
    const { status, stderr } = await cli.run(['publish', 'orders/1', '{}'])
    await writeFile(file, secrets)
    expect(stderr).toContain('cannot reach http://channels.invalid')
    expect(status).toBe(1)
  })

  test('an access key is used only for channels with its prefix, and for its rights', async () => {
    for (const args of [['publish', 'others/1', '{}'], ['stats', 'orders/1']]) {
      const { status, stderr } = await cli.run(args)
      expect(status).toBe(2)
      expect(stderr).toContain('no access key with the right')
    }
  })
})

test('the access key of a source is used although its ACCESS_KEYS are invalid', async () => {
  const { status, stderr } = await cli.run(['stats', 'room'], { env: { DEI_URL: 'http://127.0.0.1:1025', DEI_KEY: SECRET, ACCESS_KEYS: '{' } })
  expect(status).toBe(1)
  expect(stderr).toContain('cannot reach')
})

test('without a Worker, a command ends with 1 and states the URL', async () => {
  for (const args of [['stats', 'room'], ['presence', 'room'], ['connections', 'room'], ['disconnect', 'room', '--everyone'], ['revoke', 'room', '--subject', 'a'], ['publish', 'room', '{}']]) {
    const { status, stdout, stderr } = await cli.run(args, { env: { DEI_URL: 'http://127.0.0.1:1025', DEI_KEY: SECRET } })
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
    expect(stderr).toMatch(/^durable-event-iterator: cannot reach http:\/\/127\.0\.0\.1:1025: .*ECONNREFUSED.*\n$/)
  }
})
