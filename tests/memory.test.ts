// The memory of a Durable Object for messages of clients is bounded.

import { afterAll, beforeAll, expect, test } from 'vitest'

import { startJournals } from './support/journals.ts'
import type { Journals } from './support/journals.ts'
import { BareSocket } from './support/socket.ts'

let journals: Journals
beforeAll(async () => {
  journals = await startJournals()
})
afterAll(() => journals.dispose())

const MEGABYTE = 1_000_000
const RPC = ['hold', 'holdItems', 'publish', 'kept']

const open = async (chn: string): Promise<BareSocket> => BareSocket.open(await journals.upgrade('USUAL', { chn, rpc: RPC }))
const call = (i: string, path: string, input: string): string => `{"i":"${i}","p":{"u":"/call","b":{"json":{"path":["${path}"],"input":${input}}}}}`
const text = (bytes: number): string => JSON.stringify('x'.repeat(bytes))

/** Makes a small call on a socket. Its response arrives after all earlier messages. */
async function ping(socket: BareSocket, i: string): Promise<any> {
  socket.send(call(i, 'kept', 'null'))
  await socket.until((messages) => messages.some((message) => JSON.parse(message).i === i))
  return socket.messages.map((message) => JSON.parse(message)).find((frame) => frame.i === i).p
}

/** The codes of rejected calls. */
const refused = (socket: BareSocket): string[] =>
  socket.messages.map((message) => JSON.parse(message)).flatMap(({ p }) => (p?.s >= 400 ? [p.b.json.code] : []))

/** The number of calls of one megabyte that a socket can have in flight, including their frames: 8 MiB. */
const FITTING = 4
/** The number of unread upload items, whose frames are not kept. */
const FITTING_ITEMS = 8

test('the calls in flight of one socket are limited by their memory', async () => {
  const chn = 'one'
  const socket = await open(chn)
  for (let n = 0; n < 40; n++) socket.send(call(`c${n}`, 'hold', text(MEGABYTE)))
  expect(await ping(socket, 'ping')).toEqual({ b: {} })
  expect(refused(socket)).toEqual(Array.from({ length: 40 - FITTING }, () => 'TOO_MANY_REQUESTS'))
  // A call that ends allows another one.
  socket.send({ i: 'c0', t: 4 })
  for (const i of ['d0', 'd1']) socket.send(call(i, 'hold', text(MEGABYTE)))
  await ping(socket, 'ping again')
  expect(refused(socket)).toHaveLength(40 - FITTING + 1)
  socket.vanish()
})

test.each([
  ['numbers', `[${'0,'.repeat(520_000)}0]`],
  ['arrays', `[${'[],'.repeat(340_000)}0]`],
  ['objects', `[${'{"":0},'.repeat(140_000)}0]`],
])('a call whose input of %s needs more memory than the limit of a socket is rejected, independent of its length as text', async (_, input) => {
  const socket = await open('many-values')
  socket.send(call('1', 'hold', input))
  await ping(socket, 'ping')
  expect(socket.messages.map((message) => JSON.parse(message))[0]).toMatchObject({
    i: '1', p: { s: 413, b: { json: { code: 'PAYLOAD_TOO_LARGE', message: "The call takes more than 8388608 bytes of memory." } } },
  })
  socket.vanish()
})

test('headers count too', async () => {
  const socket = await open('headers')
  const header = text(MEGABYTE - 1_000)
  for (let n = 0; n < 10; n++) socket.send(`{"i":"c${n}","p":{"u":"/call","h":{"x":${header}},"b":{"json":{"path":["hold"]}}}}`)
  await ping(socket, 'ping')
  expect(refused(socket)).toHaveLength(10 - 2) // headers count twice, and in the frame
  socket.vanish()
})

test('the calls in flight of all sockets are limited by their memory, and small calls of others still run', async () => {
  const chn = 'all'
  const sockets = await Promise.all(Array.from({ length: 6 }, () => open(chn)))
  for (const socket of sockets) {
    for (let n = 0; n < FITTING; n++) socket.send(call(`c${n}`, 'hold', text(MEGABYTE)))
    await ping(socket, 'ping')
  }
  // Three quarters of 32 MiB.
  const held = sockets.reduce((sum, socket) => sum + FITTING - refused(socket).length, 0)
  expect(held).toBe(12)
  const neighbour = await open(chn)
  expect(await ping(neighbour, 'ping')).toEqual({ b: {} })
  // The memory of a socket is released when it closes.
  sockets[0]!.socket.close()
  await sockets[0]!.end()
  for (let n = 0; n < FITTING; n++) neighbour.send(call(`c${n}`, 'hold', text(MEGABYTE)))
  await ping(neighbour, 'ping again')
  expect(refused(neighbour)).toEqual([])
  for (const socket of [...sockets, neighbour]) socket.vanish()
})

test('the unread items of uploads count too', async () => {
  const socket = await open('uploads')
  const uploads = Array.from({ length: 12 }, (_, n) => `u${n}`)
  for (const i of uploads) {
    socket.send({ i, p: { u: '/holdItems', h: { 'content-type': 'text/event-stream' } } })
    socket.send(`{"i":"${i}","t":3,"p":{"e":"message","d":{"json":${text(MEGABYTE)}}}}`)
  }
  await ping(socket, 'ping')
  // Uploads that do not fit receive an abort.
  const stopped = socket.messages.map((message) => JSON.parse(message)).filter(({ t }) => t === 4).map(({ i }) => i)
  expect(stopped).toEqual(uploads.slice(FITTING_ITEMS))
  // Items that are no longer read use no memory.
  for (const i of uploads) socket.send({ i, t: 4 })
  await ping(socket, 'after the aborts')
  for (let n = 0; n < FITTING; n++) socket.send(call(`c${n}`, 'hold', text(MEGABYTE)))
  await ping(socket, 'last')
  expect(refused(socket)).toEqual([])
  socket.vanish()
})
