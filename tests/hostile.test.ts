// Messages of hostile clients: they receive a response or are closed, without an effect on other clients of the Durable Object.

import type { Socket } from 'node:net'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { token as durableIteratorToken, upgradeUrl } from './support/durable-iterator.ts'
import { isRust, startJournals } from './support/journals.ts'
import type { Journals } from './support/journals.ts'
import { BareSocket, upgradeAnswer } from './support/socket.ts'

let journals: Journals
beforeAll(async () => {
  journals = await startJournals()
})
afterAll(() => journals.dispose())

const RPC = ['anything', 'context', 'router', 'extra', 'keep', 'kept', '__proto__', 'constructor', 'toString', 'hasOwnProperty']
/** The time of issue of all tokens, in seconds since 1970: a client that connects late receives all retained events. */
const iat = Date.now() / 1000
const open = async (chn: string): Promise<BareSocket> => BareSocket.open(await journals.upgrade('CALLS', { chn, iat, rpc: RPC }))

const call = (i: string, path: string[], input?: unknown): object => ({ i, p: { u: '/call', b: { json: { path, input } } } })
const subscribe = (i: string, lastEventId?: unknown): object => ({
  i, p: { u: '/subscribe', b: {}, ...(lastEventId === undefined ? {} : { h: { 'last-event-id': lastEventId } }) },
})
/** A call of `anything` whose input is this JSON. */
const echo = (json: string, i = '1'): string => `{"i":"${i}","p":{"u":"/call","b":{"json":{"path":["anything"],"input":${json}}}}}`
const bytes = (text: string): Buffer => Buffer.from(text, 'latin1')

/** The minimum number of events that are published during an attack. */
const EVENTS = 5

/**
* Publishes to a channel during `attack`. A subscriber from before must receive all events in order, and a later one must
* receive the same.
 */
async function undisturbed(chn: string, attack: () => Promise<void>): Promise<void> {
  const neighbour = await open(chn)
  neighbour.send(subscribe('s'))
  await neighbour.frames(1)
  let isOver = false
  let published = 0
  const publish = async (): Promise<void> => {
    while (!isOver || published < EVENTS) await journals.stub('CALLS', chn, 'publish', { n: ++published })
  }
  await Promise.all([publish(), attack().finally(() => (isOver = true))])
  const late = await open(chn)
  late.send(subscribe('s'))
  for (const socket of [neighbour, late]) {
    const events = (await socket.frames(published + 1)).slice(1)
    expect(events.map(({ p }) => p.d.json.n)).toEqual(Array.from({ length: published }, (_, n) => n + 1))
    socket.vanish()
  }
}

/** The status of a path that is not declared. The procedures of a class in TypeScript are known only when one is called. */
const undeclared = isRust ? 404 : 403
const badRequest = expect.objectContaining({ s: 400, b: { json: expect.objectContaining({ code: 'BAD_REQUEST' }) } })
const DEEP = 100_000

describe('a frame', () => {
  test.each<[string, string | Buffer, unknown]>([
    ['of 100,000 arrays in its input', echo(`${'['.repeat(DEEP)}${']'.repeat(DEEP)}`), { i: '1', p: badRequest }],
    ['of 100,000 arrays that are never closed', echo('['.repeat(DEEP)), { code: 1007 }],
    ['of 100,000 arrays and nothing else', '['.repeat(DEEP), { code: 1007 }],
    ['of 40,000 objects in its input', echo(`${'{"a":'.repeat(40_000)}1${'}'.repeat(40_000)}`), { i: '1', p: badRequest }],
    ['with a header of 100,000 arrays', `{"i":"1","p":{"u":"/call","h":{"a":${'['.repeat(DEEP)}${']'.repeat(DEEP)}},"b":{}}}`, { i: '1', p: badRequest }],
    ['with meta of 100,000 arrays', `{"i":"1","p":{"u":"/call","b":{"json":{"path":["anything"]},"meta":${'['.repeat(DEEP)}${']'.repeat(DEEP)}}}}`, { i: '1', p: badRequest }],
    ['with a path into meta of 30,000 steps', `{"i":"1","p":{"u":"/call","b":{"json":{"path":["anything"],"input":1},"meta":[[1,"input"${',0'.repeat(30_000)}]]}}}`, { i: '1', p: badRequest }],
    ['with an invalid bigint', `{"i":"1","p":{"u":"/call","b":{"json":{"path":["anything"],"input":"1e9"},"meta":[[0,"input"]]}}}`, { i: '1', p: badRequest }],
    ['with a number of 400 digits', echo('1'.repeat(400)), { i: '1' }],
    ['with the number 1e400', echo('1e400'), { i: '1' }],
    ['with the number -1e400', echo('-1e400'), { i: '1' }],
    ['with the number 1e-400', echo('1e-400'), { i: '1', p: { b: { json: 0 } } }],
    ['with half of a surrogate pair', echo('"\\ud800"'), { i: '1' }],
    ['with the halves of a surrogate pair in the wrong order', echo('"\\udc00\\ud800"'), { i: '1' }],
    ['whose id is half of a surrogate pair', '{"i":"\\ud800","p":{"u":"/router/ping","b":{}}}', {}],
    ['with invalid UTF-8 in its input', Buffer.concat([bytes('{"i":"1","p":{"u":"/call","b":{"json":{"path":["anything"],"input":"'), Buffer.from([0xc3, 0x28]), bytes('"}}}}')]), {}],
    ['with an overlong encoding', Buffer.concat([bytes('{"i":"1","p":{"u":"/call","b":{"json":{"path":["anything"],"input":"'), Buffer.from([0xc0, 0x80]), bytes('"}}}}')]), {}],
    ['in binary, without a delimiter', bytes(echo('"x"')), { i: '1', p: { b: { json: 'x' } } }],
    ['with nothing after a delimiter', bytes(`${echo('"x"')}\xff`), {}],
    ['with a delimiter before its JSON', bytes(`\xff${echo('"x"')}`), { code: 1007 }],
    ['with only delimiters', bytes('\xff'.repeat(1000)), { code: 1007 }],
    ['with an unknown type', '{"i":"1","t":7,"p":{"u":"/router/ping","b":{}}}', { i: '1', p: badRequest }],
    ['with a huge type', '{"i":"1","t":1e400}', {}],
    ['with a type beyond 64 bits', '{"i":"1","t":18446744073709551617}', { i: '1', p: badRequest }],
    ['with a type that is not a number', '{"i":"1","t":{"valueOf":1}}', { i: '1', p: badRequest }],
    ['with an invalid method', '{"i":"1","p":{"u":"/router/ping","m":"DROP TABLE","b":{}}}', {}],
    ['with duplicate keys', '{"i":"1","i":"2","p":{"u":"/router/ping","b":{}},"p":{"u":"/router/ping","b":{}}}', {}],
    ['with a path of 100,000 segments', `{"i":"1","p":{"u":"${'/a'.repeat(DEEP)}","b":{}}}`, { i: '1', p: { s: undeclared } }],
    ['with a path of invalid escapes', '{"i":"1","p":{"u":"/%zz/%f0%28/%","b":{}}}', { i: '1', p: { s: undeclared } }],
    ['with a path of escaped dots', '{"i":"1","p":{"u":"/router/%2e%2e/diary","b":{}}}', { i: '1', p: { s: 404 } }],
  ])('%s receives a response or closes its own socket, without an effect on others', async (name, frame, outcome) => {
    const chn = `frame ${name}`
    await undisturbed(chn, async () => {
      const socket = await open(chn)
      socket.send(frame)
      socket.send({ i: 'after', p: { u: '/router/ping', b: {} } })
      // Whichever comes first. A frame with a response does not affect its socket.
      const ending = socket.end()
      const pong = socket.until((messages) => messages.some((text) => text === '{"i":"after","p":{"b":{"json":"pong"}}}'))
      const isOpen = await Promise.race([pong.then(() => true), ending.then(() => false)]).catch(() => false)
      const first = isOpen ? JSON.parse(socket.messages[0]!) : await ending
      expect(first).toMatchObject(outcome as object)
      if (isOpen) expect(socket.messages).toHaveLength(2)
      else expect([1007, 1008, 1009]).toContain(first.code)
      socket.vanish()
    })
  })

  test('with several delimiters is split at the first one', async () => {
    const socket = await open('delimiters')
    const form = new FormData()
    form.set('data', JSON.stringify({ json: { path: ['extra', 'file'], input: {} }, maps: [['input']] }))
    form.set('0', new File([Buffer.from([0xff, 0xff, 0x00, 0xff])], 'a', { type: 'application/x-test' }))
    const body = new Response(form)
    const head = JSON.stringify({ i: '1', p: { u: '/call', h: { 'content-type': body.headers.get('content-type') } } })
    socket.send(Buffer.concat([Buffer.from(head), Buffer.from([0xff]), Buffer.from(await body.arrayBuffer())]))
    expect((await socket.frames(1))[0]).toMatchObject({ i: '1', p: { b: { json: { d: 'File:a:application/x-test:4' } } } })
    socket.vanish()
  })

  test('is limited in bytes, not in characters', async () => {
    const limit = 256 * 1024
    const filled = (size: number): string => {
      const room = size - Buffer.byteLength(echo('""'))
      return echo(`"${'漢'.repeat(Math.floor(room / 3))}${'x'.repeat(room % 3)}"`)
    }
    for (const form of [(text: string) => text, (text: string) => Buffer.from(text)]) {
      const fitting = await open('sizes')
      fitting.send(form(filled(limit)))
      expect((await fitting.frames(1))[0]).toMatchObject({ i: '1', p: { b: { json: expect.stringMatching(/^漢+x*$/) } } })
      fitting.send(form(filled(limit + 1)))
      expect(await fitting.end()).toEqual({ code: 1009, reason: 'Frame too large' })
    }
  })
})

describe('names of prototypes', () => {
  test.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty'])('%s is a normal name', async (name) => {
    const chn = `prototype ${name}`
    await undisturbed(chn, async () => {
      const socket = await open(chn)
      const answers: unknown[] = []
      const ask = async (frame: string): Promise<void> => {
        socket.send(frame)
        answers.push((await socket.frames(answers.length + 1)).at(-1))
      }
      await ask(JSON.stringify(call(name, [name])))
      await ask(JSON.stringify(call(name, ['router', name])))
      await ask(`{"i":"1","p":{"u":"/${name}","b":{}}}`)
      await ask(`{"i":"1","p":{"u":"/call","h":{"${name}":"x","accept-language":"fr"},"b":{"json":{"path":["context"]}}}}`)
      await ask(`{"i":"1","p":{"u":"/call","b":{"json":{"path":["anything"],"input":{"a":1}},"meta":[[1,"input","${name}"]]}}}`)
      await ask(echo(`{"${name}":{"polluted":true}}`))
      expect(answers).toMatchObject([
        { i: name, p: { s: 404 } },
        { i: name, p: { s: 404 } },
        { i: '1', p: { s: 404 } },
        { i: '1', p: { b: { json: [null, ['fr'], RPC] } } },
        { i: '1', p: { s: 400 } },
        {},
      ])
      expect(socket.messages.at(-1)).toBe(`{"i":"1","p":{"b":{"json":{"${name}":{"polluted":true}}}}}`)
      socket.vanish()
    })
  })
})

describe('a last-event-id', () => {
  const gap = { 'content-type': 'text/event-stream', 'x-durable-event-gap': expect.stringMatching(/^\d+$/) }

  test.each<[string, unknown]>([
    ['that is empty', ''],
    ['that is not a number', 'abc'],
    ['that is negative', '-1'],
    ['with an exponent', '1e3'],
    ['with a fraction', '1.5'],
    ['in hexadecimal', '0x10'],
    ['with a blank', ' 5'],
    ['of full-width digits', '５'],
    ['of 400 digits', '9'.repeat(400)],
    ['above 2^53', '9007199254740993'],
    ['beyond 64 bits', '18446744073709551616'],
    ['with SQL', "0; DROP TABLE dei_events_1; --"],
    ['with SQL in quotes', "' OR id > 0 --"],
    ['with a NUL', '5\u0000'],
    ['from before the first event', '0'],
    ['from the future', '9007199254740990'],
  ])('%s is a gap, and all retained events follow', async (name, id) => {
    const chn = `position ${name}`
    await journals.stub('CALLS', chn, 'publish', { n: 1 })
    await journals.stub('CALLS', chn, 'publish', { n: 2 })
    const socket = await open(chn)
    socket.send(subscribe('s', id))
    const [answer, ...events] = await socket.frames(3)
    expect(answer).toEqual({ i: 's', p: { h: gap } })
    expect(events.map(({ p }) => p.d.json.n)).toEqual([1, 2])
    await journals.stub('CALLS', chn, 'publish', { n: 3 })
    expect((await socket.frames(4))[3].p.d.json).toEqual({ n: 3 })
    socket.vanish()
  })

  test.each<[string, unknown]>([
    ['a number', 5], ['null', null], ['an object', { toString: '5' }], ['a list of numbers', [5]], ['a list in a list', [['5']]], ['true', true],
  ])('that is %s is rejected or ignored, and the socket stays open', async (name, id) => {
    const chn = `no position ${name}`
    await undisturbed(chn, async () => {
      const socket = await open(chn)
      socket.send(subscribe('s', id))
      const [answer] = await socket.frames(1)
      expect([undefined, 400]).toContain(answer.p.s)
      socket.send({ i: 'after', p: { u: '/router/ping', b: {} } })
      await socket.until((messages) => messages.some((text) => text.startsWith('{"i":"after"')))
      socket.vanish()
    })
  })

  test.each<[string, (id: string) => string[]]>([
    ['one', (id) => [id]],
    ['several values, one of which is valid', (id) => [id, id]],
  ])('in a list of %s is accepted', async (name, list) => {
    const chn = `positions ${name}`
    const id = await journals.stub('CALLS', chn, 'publish', { n: 1 })
    await journals.stub('CALLS', chn, 'publish', { n: 2 })
    const socket = await open(chn)
    socket.send(subscribe('s', list(id)))
    const [answer, event] = await socket.frames(2)
    expect(answer).toEqual({ i: 's', p: { h: { 'content-type': 'text/event-stream' } } })
    expect(event.p.d.json).toEqual({ n: 2 })
    socket.vanish()
  })
})

describe('a flood', () => {
  test('of waiting calls runs up to the limit, rejects the others, and does not delay other clients', async () => {
    const chn = 'flood of calls'
    const [calls, limit] = [2_000, 64]
    await undisturbed(chn, async () => {
      const socket = await open(chn)
      for (let n = 0; n < calls; n++) socket.send(call(`${n}`, ['extra', 'wait', 'value'], `${n}`))
      const refused = await socket.frames(calls - limit)
      expect(refused.map(({ i }) => i)).toEqual(Array.from({ length: calls - limit }, (_, n) => `${n + limit}`))
      for (const { p } of refused) expect(p.s).toBe(429)
      socket.vanish()
    })
  })

  test('of fast calls responds to each call in order', async () => {
    const chn = 'flood of pings'
    const calls = 5_000
    await undisturbed(chn, async () => {
      const socket = await open(chn)
      for (let n = 0; n < calls; n++) socket.send(call(`${n}`, ['router', 'ping']))
      const answers = await socket.frames(calls)
      expect(answers.map(({ i }) => i)).toEqual(Array.from({ length: calls }, (_, n) => `${n}`))
      socket.vanish()
    })
  })

  test('of subscriptions leaves one, which receives its events once', async () => {
    const chn = 'flood of subscriptions'
    const subscriptions = 500
    const socket = await open(chn)
    for (let n = 0; n < subscriptions; n++) socket.send(subscribe(`${n}`))
    socket.send({ i: 'after', p: { u: '/router/ping', b: {} } })
    await undisturbed(chn, () => socket.until((messages) => messages.some((text) => text.startsWith('{"i":"after"'))))
    const head = `{"i":"${subscriptions - 1}","t":3`
    await socket.until((messages) => messages.filter((text) => text.startsWith(head)).length >= EVENTS)
    const frames = socket.messages.map((text) => JSON.parse(text))
    expect(frames.filter(({ p }) => p?.e === 'done').map(({ i }) => i)).toEqual(Array.from({ length: subscriptions - 1 }, (_, n) => `${n}`))
    // An earlier subscription may have received some events before it was ended.
    const ended = frames.findLastIndex(({ p }) => p?.e === 'done')
    for (const { i, p } of frames.slice(ended + 1)) if (p?.e === 'message') expect(i).toBe(`${subscriptions - 1}`)
    const events = frames.filter(({ i, p }) => i === `${subscriptions - 1}` && p?.e === 'message')
    expect(events.map(({ p }) => p.d.json.n)).toEqual(events.map((_, n) => n + 1))
    socket.vanish()
  })

  test('of aborts and items of unknown calls is ignored', async () => {
    const chn = 'flood of aborts'
    await undisturbed(chn, async () => {
      const socket = await open(chn)
      for (let n = 0; n < 2_000; n++) {
        socket.send({ i: `${n}`, t: 4 })
        socket.send({ i: `${n}`, t: 3, p: { e: 'message', d: { json: n } } })
      }
      socket.send({ i: 'after', p: { u: '/router/ping', b: {} } })
      expect(await socket.frames(1)).toEqual([{ i: 'after', p: { b: { json: 'pong' } } }])
      socket.vanish()
    })
  })
})

describe('the attachment of a socket', () => {
  /** The limit of the Workers runtime for an attachment, in bytes of its encoding. */
  const PLATFORM_LIMIT = 16_384

  test.each<[string, string, number]>([
    ['ASCII', 'x', 1],
    ['characters of three bytes', '漢', 3],
  ])('can fill the limit of the runtime with %s; above it, setting fails and the previous value is kept', async (_, filling, width) => {
    const chn = `kept ${width}`
    const socket = await BareSocket.open(await journals.upgrade('USUAL', { chn, rpc: ['keep', 'kept'] }))
    let asked = 0
    const ask = async (path: string, input?: unknown): Promise<any> => {
      socket.send(call(`${asked}`, [path], input))
      return (await socket.frames(++asked)).at(-1).p
    }
    const fits = async (size: number): Promise<boolean> => {
      const { s: status } = await ask('keep', filling.repeat(size))
      if (status !== undefined) expect(status).toBeGreaterThanOrEqual(400)
      return status === undefined
    }
    let [fitting, beyond] = [0, PLATFORM_LIMIT]
    expect(await fits(beyond)).toBe(false)
    while (beyond - fitting > 1) {
      const size = Math.floor((fitting + beyond) / 2)
      if (await fits(size)) fitting = size
      else beyond = size
    }
    // The rest is for the claims, a subscription, and the encoding of the runtime.
    expect(fitting * width).toBeGreaterThan(15_500)
    expect(await fits(fitting)).toBe(true)
    expect(await fits(beyond)).toBe(false)
    await journals.hibernate('USUAL', chn)
    expect((await ask('kept')).b.json).toBe(filling.repeat(fitting))
    socket.vanish()
  })

  test('has space for the claims of the largest token', async () => {
    const largest = 8 * 1024
    const sized = async (size: number): Promise<string> => {
      const claims = { chn: 'large token', iat: 1_700_000_000, exp: 9_000_000_000 }
      const rest = (await durableIteratorToken({ ...claims, att: '' })).length
      return durableIteratorToken({ ...claims, att: 'x'.repeat(size - rest) })
    }
    const socket = await BareSocket.open(upgradeUrl(journals, 'USUAL', await sized(largest), 'i'.repeat(128)))
    socket.send(subscribe('\u0001'.repeat(64)))
    await socket.frames(1)
    await journals.stub('USUAL', 'large token', 'publish', { n: 1 })
    expect((await socket.frames(2))[1].p.d.json).toEqual({ n: 1 })
    socket.vanish()
    expect((await upgradeAnswer(upgradeUrl(journals, 'USUAL', await sized(largest + 1), 'i'))).status).toBe(401)
  })
})

describe('a close frame with a reserved code', () => {
  test.each([0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65_535])('%i receives a close frame, and the connection ends', async (code) => {
    const socket = await BareSocket.open(await journals.upgrade('USUAL', { chn: 'close codes' }))
    const frame = Buffer.from([0x88, 0x82, 0, 0, 0, 0, code >> 8, code & 0xff]) // masked with zeros
    ;(socket.socket as unknown as { _socket: Socket })._socket.write(frame)
    await socket.end()
  })
})
