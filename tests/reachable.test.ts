// What a client can reach of a class in TypeScript, with a token that lists every name: the methods that the application declares,
// and the members of what they return. Everything else responds with NOT_FOUND, and no other code runs.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { SIGNING_KEY, token } from './support/client.ts'
import { ORPC_OF_CLASSES } from './support/journals.ts'
import { BareSocket } from './support/socket.ts'
import { startWorkers } from './support/workerd.ts'
import type { RunningWorkers } from './support/workerd.ts'

const CLASSES = { DEI: 'ReachableDurableEventIterator', DI: 'ReachableDurableIterator' } as const

let workers: RunningWorkers
beforeAll(async () => {
  workers = await startWorkers({
    workers: [
      {
        name: 'objects',
        entry: 'tests/worker-typescript/reachable.ts',
        orpc: ORPC_OF_CLASSES,
        variables: { SIGNING_KEY },
        durableObjects: Object.fromEntries(Object.entries(CLASSES).map(([binding, className]) => [binding, { className }])),
      },
    ],
  })
})
afterAll(() => workers.dispose())

/** The paths that are declared. */
const REACHABLE = [
  ['declared'], ['inherited'], ['overridden'], ['nested', 'own'], ['nested', 'deep', 'own'], ['nested', 'list', '0'], ['nested', '0'], ['nested', ''],
  ['nested', '__proto__'], ['record', 'own'], ['routed', 'ping'], ['routed', 'deep', 'ping'], ['anArray', '0'], [''], ['0'],
]

/** Names of the Workers runtime, the library and JavaScript, and of members that the classes do not declare as methods. */
const NAMES = [
  'fetch', 'connect', 'alarm', 'webSocketMessage', 'webSocketClose', 'webSocketError', 'publish', 'publishBatch', 'stats', 'connections', 'members', 'disconnect', 'revoke',
  '~stats', '~revoke', 'publishEvent', 'lastEventId', 'then', 'catch', 'finally',
  'ctx', 'env', 'dei', '__proto__', 'prototype', '~orpc', '~settle', '#core', 'field', 'arrow', 'staticMethod', 'accessor', 'clientAccessor',
  'setter', 'symbolMethod', 'described', 'notAFunction', 'getter', 'notAClient', 'inheritedMember', 'aPromise', 'aProcedure', 'procedures', 'anIterator',
  'nothing', '1', '-0', '00', ' ', '/', '.', 'declared.call', 'nested.own', 'nested/own', 'Declared', 'length', 'name', 'call', 'apply', 'bind',
]

const NOT_FOUND = { s: 404, b: { json: { defined: false, code: 'NOT_FOUND', status: 404, message: 'Not Found' } } }
const REACHED = { b: { json: 'reached' } }

/** The number of names of one token, whose size is limited. */
const LISTED = 60

describe.each(Object.keys(CLASSES))('of a class of %s', (binding) => {
  const chn = 'reachable'

  const read = async (path: string): Promise<any> => (await workers.fetch(`/${binding}/${chn}/${path}`)).json()

  async function open(rpc: string[]): Promise<BareSocket> {
    const url = new URL(`/upgrade/${binding}`, workers.url)
    url.protocol = 'ws:'
    url.searchParams.set('token', await token({ chn, rpc }))
    return BareSocket.open(url)
  }

  /** Returns the responses to calls of these paths, on sockets whose tokens list their first names. */
  async function responses(paths: string[][]): Promise<Map<string, unknown>> {
    const firsts = [...new Set(paths.map(([first]) => first!))]
    const found = new Map<string, unknown>()
    for (let at = 0; at < firsts.length; at += LISTED) {
      const listed = firsts.slice(at, at + LISTED)
      const socket = await open(listed)
      const own = paths.filter(([first]) => listed.includes(first!))
      // Fewer at once than a socket may have.
      for (let n = 0; n < own.length; n += 50) {
        const some = own.slice(n, n + 50)
        const answered = socket.messages.length
        for (const [k, path] of some.entries()) socket.send({ i: `${n + k}`, p: { u: '/call', b: { json: { path } } } })
        await socket.frames(answered + some.length)
      }
      for (const message of socket.messages) {
        const { i, p } = JSON.parse(message)
        found.set(JSON.stringify(own[Number(i)]), p)
      }
      socket.vanish()
    }
    return found
  }

  test('declared methods, those of the application’s base class, and own members of their results', async () => {
    const found = await responses(REACHABLE)
    for (const path of REACHABLE) expect(found.get(JSON.stringify(path)), JSON.stringify(path)).toEqual(REACHED)
  })

  test('nothing else, at any level, and no other code runs', async () => {
    const names = [...new Set([...((await read('names')) as string[]), ...NAMES])]
    // Of Object, Function, Promise, the base classes and oRPC's procedures.
    for (const name of ['__defineGetter__', 'apply', 'finally', '~settle', 'callable']) expect(names).toContain(name)
    const reachable = new Set(REACHABLE.map((path) => JSON.stringify(path)))
    const parents = [[], ['declared'], ['inherited'], ['nested'], ['nested', 'own'], ['nested', 'deep'], ['nested', 'list'], ['record'], ['record', 'own'],
      ['routed'], ['routed', 'ping'], ['anArray'], ['aPromise'], ['aProcedure'], ['procedures'], ['procedures', 'own'], ['anIterator'], ['nothing'], ['']]
    const paths = names.flatMap((name) => [
      ...parents.map((parent) => [...parent, name]),
      [name, name], [name, 'call'], [name, 'constructor'], [name, '__proto__'], [name, 'constructor', 'constructor'], [name, '~orpc', 'handler'],
    ]).filter((path) => !reachable.has(JSON.stringify(path)))
    const before = await read('effects')
    expect(before.trespasses).toBe(0)
    const found = await responses(paths)
    expect(found.size).toBe(new Set(paths.map((path) => JSON.stringify(path))).size)
    const others = [...found].filter(([, response]) => JSON.stringify(response) !== JSON.stringify(NOT_FOUND))
    expect(others).toEqual([])
    // No call has run other code, published or set an alarm.
    expect(await read('effects')).toEqual(before)
  })

  test('by the path of a request, the same', async () => {
    const socket = await open(['declared', 'nested', 'constructor', '__proto__', 'publish', 'publishEvent', 'fetch'])
    const requests: [path: string, response: unknown][] = [
      ['/declared', REACHED], ['/nested/own', REACHED], ['/nested/__proto__', REACHED], ['/declared/call', NOT_FOUND], ['/constructor', NOT_FOUND],
      ['/__proto__', NOT_FOUND], ['/publish', NOT_FOUND], ['/publishEvent', NOT_FOUND], ['/fetch', NOT_FOUND], ['/nested/own/constructor', NOT_FOUND],
    ]
    for (const [n, [u, response]] of requests.entries()) {
      socket.send({ i: `${n}`, p: { u, b: {} } })
      expect((await socket.frames(n + 1))[n], u).toEqual({ i: `${n}`, p: response })
    }
    socket.vanish()
  })

  test('names that the token does not list are forbidden', async () => {
    const socket = await open(['nothing'])
    for (const [n, [first = '']] of REACHABLE.entries()) {
      socket.send({ i: `${n}`, p: { u: '/call', b: { json: { path: REACHABLE[n] } } } })
      expect((await socket.frames(n + 1))[n].p).toMatchObject({ s: 403, b: { json: { message: `Method "${first}" is not allowed.` } } })
    }
    socket.vanish()
  })
})
