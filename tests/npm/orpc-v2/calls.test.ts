// Procedures over the socket with oRPC 2.x: outputs, errors, streams and files of Durable Objects, which use the format of 1.x.

import { AsyncIteratorClass, getEventMeta, isInferableError, ORPCError, safe } from '@orpc/client'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'

import { DurableIteratorLinkPlugin } from '../../../npm/durable-event-iterator/src/orpc-v2/index.ts'
import { startJournals } from '../../support/journals.ts'
import type { IMPLEMENTATION, Journals } from '../../support/journals.ts'
import { startApplication, take } from './app.ts'
import type { Application } from './app.ts'

type Iterator = Awaited<ReturnType<ReturnType<Application['client']>['calls']>>

const implementations: [implementation: typeof IMPLEMENTATION, orpc: string | undefined][] = [
  ['Rust', undefined],
  ['DurableIteratorObject', '1.16.1'],
  ['DurableIteratorObject', process.env['ORPC_VERSION']],
]

describe.each(implementations)('with a Durable Object in %s and its version of oRPC %s', (implementation, orpc) => {
  let journals: Journals
  let app: Application
  beforeAll(async () => {
    journals = await startJournals({ implementation, orpc })
    app = await startApplication()
  })
  afterAll(async () => {
    await app.dispose()
    await journals.dispose()
  })

  let channels = 0
  let channel: string
  let iterator: Iterator
  const open = (headers = {}): Promise<Iterator> =>
    app.client({ plugins: [new DurableIteratorLinkPlugin({ url: new URL('/upgrade/CALLS', journals.url), headers })] }).calls(channel)
  beforeEach(async () => {
    channel = `calls-${(channels += 1)}`
    iterator = await open()
  })
  afterEach(() => iterator.return())

  const rejection = async (promise: Promise<unknown>): Promise<unknown> =>
    promise.then(
      () => expect.unreachable('it was not rejected'),
      (error: unknown) => error,
    )

  test('the iterator is an instance of AsyncIteratorClass, and its events have their meta', async () => {
    expect(iterator).toBeInstanceOf(AsyncIteratorClass)
    const other = await open()
    await other.publishMessage({ message: 'Hello' })
    const [event] = await take(iterator, 1)
    expect(event).toEqual({ message: 'Hello' })
    expect(getEventMeta(event)).toEqual({ id: expect.any(String) })
    await other.return()
  })

  test('procedures return their outputs', async () => {
    expect(await iterator.router.ping()).toBe('pong')
    expect(await iterator.router.echo({ text: 'a' })).toBe('Echo: a')
    expect(await iterator.router.deep.er()).toBe('deeper')
    expect(await iterator.publishMessage({ message: 'a' })).toBeUndefined()
    const everything = {
      date: new Date(0),
      big: -(2n ** 200n),
      nan: Number.NaN,
      nothing: null,
      url: new URL('https://example.com/ä?b=c#d'),
      re: /a\/b+(c)/gi,
      list: [undefined, null, new Map([[{ a: 1n }, new Set([Number.NaN])]])],
    }
    expect(await iterator.anything(everything)).toEqual(everything)
    for (const root of [undefined, null, true, 'text', [], 5n, new Date(0), new Set([1])]) {
      expect(await iterator.anything(root)).toEqual(root)
    }
  })

  test('procedures receive headers and the last event id', async () => {
    const french = await open({ 'accept-language': 'fr' })
    const [lastEventId, language] = await french.context(undefined, { lastEventId: '7' })
    expect([lastEventId, language]).toEqual(['7', ['fr']])
    await french.return()
  })

  test('errors are ORPCErrors with their codes, messages and data', async () => {
    const conflict = await rejection(iterator.extra.throwOrpc())
    expect(conflict).toBeInstanceOf(ORPCError)
    expect(conflict).toMatchObject({ code: 'CONFLICT', status: 409, message: 'already there', defined: false, inferable: false })
    expect((conflict as ORPCError<'CONFLICT', unknown>).data).toEqual({ a: 1, when: new Date('2020-01-01T00:00:00.000Z'), n: 1n })
    expect(await rejection(iterator.extra.throwPlain())).toMatchObject({ code: 'INTERNAL_SERVER_ERROR', message: 'Internal server error' })

    const declared = await rejection(iterator.extra.throwDeclared())
    expect(declared).toMatchObject({ code: 'OUT_OF_STOCK', defined: true, inferable: true })
    expect(isInferableError(declared)).toBe(true)
    const { error, isSuccess } = await safe(iterator.extra.throwDeclared())
    expect([isSuccess, error]).toMatchObject([false, { code: 'OUT_OF_STOCK' }])

    expect(await rejection(iterator.nothing())).toMatchObject({ status: 404 })
    expect(await rejection(iterator.router.echo({ text: 5 } as never))).toMatchObject({
      code: 'BAD_REQUEST',
      data: { issues: [{ path: ['text'] }] },
    })
  })

  test('a call that the Durable Object rejects is not retried', async () => {
    let retries = 0
    const context = { retry: 3, retryDelay: 1, onRetry: () => void (retries += 1) }
    await rejection(iterator.extra.throwOrpc(undefined, { context }))
    expect(retries).toBe(0)
    await rejection(iterator.extra.throwPlain(undefined, { context }))
    expect(retries).toBe(3)
  })

  test('a stream yields its items with their meta, then its return value', async () => {
    const stream = await iterator.extra.stream()
    const items: unknown[] = []
    for (;;) {
      const { value, done } = await stream.next()
      items.push([value, getEventMeta(value), done])
      if (done === true) break
    }
    expect(items).toMatchObject([
      [{ n: 1 }, undefined, false],
      [{ n: 2, when: new Date(0) }, { id: 'ev-2', retry: 1234, comments: ['hello', 'world'] }, false],
      [3, undefined, false],
      [{ end: true }, { id: 'end-id' }, true],
    ])
    const resumed: number[] = []
    for await (const { n } of await iterator.extra.resumed(undefined, { lastEventId: '1' })) resumed.push(n)
    expect(resumed).toEqual([2, 3])
  })

  test('an error of a stream ends it', async () => {
    const items: number[] = []
    const read = async (): Promise<void> => {
      for await (const item of await iterator.extra.failing('HALF_WAY')) items.push(item)
    }
    const error = await rejection(read())
    expect(items).toEqual([1])
    expect(error).toBeInstanceOf(ORPCError)
    expect(error).toMatchObject({ code: 'HALF_WAY', status: 409, message: 'half way', data: new Date(0) })
  })

  test('a stream is dropped when the client leaves its loop, or aborts the signal of the call', async () => {
    for await (const item of await iterator.extra.endless()) {
      // During an endless stream, other calls are served.
      if (item === 10) expect(await iterator.router.ping()).toBe('pong')
      if (item === 20) break
    }
    await journals.stub('CALLS', channel, 'until', 'endless dropped')
    const abort = new AbortController()
    const read = async (): Promise<void> => {
      for await (const item of await iterator.extra.endless(undefined, { signal: abort.signal })) {
        if (item === 20) abort.abort(new Error('Enough.'))
      }
    }
    expect(await rejection(read())).toEqual(new Error('Enough.'))
  })

  test('an aborted call is cancelled on the Durable Object', async () => {
    const abort = new AbortController()
    const answer = rejection(iterator.extra.slow(undefined, { signal: abort.signal }))
    await journals.stub('CALLS', channel, 'until', 'slow began')
    abort.abort(new Error('Enough.'))
    expect(await answer).toEqual(new Error('Enough.'))
    await journals.stub('CALLS', channel, 'until', 'slow dropped')
  })

  test('files are supported as input and output, alone and in objects', async () => {
    const file = new File(['file body é'], 'héllo.txt', { type: 'text/plain' })
    expect(await iterator.extra.file(file)).toMatchObject({ text: 'file body é' })
    const got = await iterator.extra.getFile()
    expect(got).toBeInstanceOf(File)
    expect([got.name, got.type]).toEqual(['näme "q".bin', 'application/x-test'])
    expect([...new Uint8Array(await got.arrayBuffer())]).toEqual([0x00, 0x01, 0xfe, 0xff, 0x7b, 0x22])
    const { note, at, file: inForm } = await iterator.extra.getForm()
    expect([note, at, await inForm.text()]).toEqual(['with file', new Date(0), 'file in object'])
  })
})

