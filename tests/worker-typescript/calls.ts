// A Durable Object with procedures of all kinds, and a diary of their calls.

import { eventIterator, ORPCError, os, type } from '@orpc/server'
import { withEventMeta } from 'durable-event-iterator/durable-object'

import { Room } from './room.ts'
import type { Env } from './room.ts'
import { a, aBlob, aDate, also, aNumber, anObject, aString, nothing, schema, under } from './schema.ts'
import type { Issue } from './schema.ts'
import { customJsonSerializers, User } from './types.ts'

/** The maximum size of a message, small so that a test does not have to send a megabyte. */
const MAX_FRAME = 256 * 1024

const SECRET = 'a secret of the server'

/** A record of events as lines of text, and the calls that wait for a line. It outlives the calls that write to it. */
class Diary {
  readonly lines: string[] = []
  #waiting: (() => void)[] = []

  write(line: string): void {
    this.lines.push(line)
    for (const wake of this.#waiting.splice(0)) wake()
  }

  /** Resolves when the diary has the line, or when the call is aborted. */
  async line(line: string, signal?: AbortSignal): Promise<void> {
    const aborted = new Promise<void>((resolve) => signal?.addEventListener('abort', () => resolve()))
    while (!this.lines.includes(line) && signal?.aborted !== true) {
      await Promise.race([aborted, new Promise<void>((resolve) => this.#waiting.push(resolve))])
    }
  }
}

/** A schema for values that the server returns, which none of them matches. */
const unwritable = schema<unknown>(a('a value that can be written', () => false))

const period = schema<{ start: Date; end: Date; members: string[] }>((value) => {
  const issues = anObject({ start: aDate, end: aDate, members: a('an array', Array.isArray) })(value)
  if (issues.length > 0) return issues
  const order: Issue[] = value.end < value.start ? [{ message: 'ends before it starts', path: [] }] : []
  const blank = (value.members as string[]).flatMap((name, n) => (name === '' ? under('members', under(n, [{ message: 'expected a name', path: [] }])) : []))
  return [...order, ...blank]
})

const shapes = schema<{ tagged: { radius: number }; untagged: number | string }>((value) => {
  const untagged = also(() => [], (input) => ['number', 'string'].includes(typeof input), 'does not match any alternative')
  const kind = also(aString, (input) => input === 'circle', 'expected one of circle')
  return anObject({ tagged: anObject({ kind, radius: aNumber }), untagged })(value)
})

const booking = schema<{ seats: number }>(
  anObject({ seats: a('an integer from 0 to 255', (value) => Number.isInteger(value) && value >= 0 && value <= 255) }),
)

const noInput = schema<undefined>(nothing)
const line = schema<string>(aString)

async function describe(file: File): Promise<{ d: string; text: string }> {
  return { d: `File:${file.name}:${file.type}:${file.size}`, text: await file.text() }
}

/** Reads invalid data of the application, or reports it as invalid input of the client. */
function readStored(what: string): void {
  if (what === 'input') {
    const issues = [{ message: 'expected an integer from 0 to 255, found a string', path: ['seats'] }]
    throw new ORPCError('BAD_REQUEST', { message: 'Input validation failed', data: { issues } })
  }
  if (what === 'json') JSON.parse(SECRET)
  if (what === 'url') new URL(SECRET)
  throw new RangeError(SECRET)
}

export class CallsObject extends Room<object> {
  readonly #diary = new Diary()
  /** The headers of the last call, which oRPC passes to interceptors only. */
  #headers: Record<string, string | string[] | undefined> = {}

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, {
      maxFrameBytes: MAX_FRAME,
      customJsonSerializers,
      // Errors of oRPC 1.x have these statuses by themselves.
      errorStatusMap: { MY_CODE: 418, RATE_LIMITED: 429, OUT_OF_STOCK: 409, HALF_WAY: 409 },
      interceptors: [
        (options) => {
          this.#headers = options.request.headers
          return options.next()
        },
      ],
      clientInterceptors: [
        async (options) => {
          const path = (options.input as { path?: string[] } | undefined)?.path?.join('.')
          if (path === 'refused') throw new ORPCError('UNAUTHORIZED', { message: 'Not today.' })
          if (path !== 'router.echo') return options.next()
          try {
            const output = await options.next()
            this.#diary.write(`${path} ok`)
            return output
          } catch (error) {
            this.#diary.write(`${path} failed`)
            throw error
          }
        },
      ],
    })
  }

  // Procedures.

  publishMessage(ws: WebSocket) {
    return os
      .input(type<{ message: string }>())
      .handler(({ input }) => {
        this.keepAttachment(ws, { something: `of ${this.claimsOf(ws).att === undefined ? '' : (this.claimsOf(ws).att as any).userId}` })
        this.publishInside(input, { exclude: [ws] })
      })
      .callable()
  }

  whoAmI(ws: WebSocket) {
    return os.handler(() => [(this.claimsOf(ws).att as any)?.userId ?? null, this.attachmentOf(ws)?.something ?? null]).callable()
  }

  context(ws: WebSocket) {
    const language = this.#headers['accept-language'] ?? null
    return os.handler(({ lastEventId }) => [lastEventId ?? null, language, this.claimsOf(ws).rpc]).callable()
  }

  anything() {
    return os
      .input(type<unknown>())
      .handler(({ input }) => input)
      .callable()
  }

  /** Without a socket it is an RPC method. */
  diary(ws?: WebSocket): unknown {
    if (ws === undefined) return this.#diary.lines
    return os.handler(() => this.#diary.lines).callable()
  }

  refused() {
    return os.handler(() => 'never seen').callable()
  }

  router() {
    return {
      ping: os.input(noInput).handler(() => 'pong').callable(),
      echo: os
        .input(schema<{ text: string }>(anObject({ text: aString })))
        .handler(({ input }) => `Echo: ${input.text}`)
        .callable(),
      deep: { er: os.handler(() => 'deeper').callable() },
    }
  }

  extra() {
    return {
      types: os.handler(() => ({
        date: new Date('2020-01-02T03:04:05.678Z'),
        badDate: new Date(Number.NaN),
        big: 12345678901234567890n,
        undef: undefined,
        nul: null,
        nan: Number.NaN,
        inf: Number.POSITIVE_INFINITY,
        url: new URL('https://example.com/a?b=c#d'),
        re: /a\/b+(c)/gi,
        set: new Set<unknown>([1, 'two', new Date(0), undefined]),
        map: new Map<unknown, unknown>([['k', 1n], [new Date(0), new Set([Number.NaN])]]),
        arr: [1, undefined, null, Number.NaN, [2n]],
        nested: { a: { b: [{ c: new Date(1) }] } },
        user: new User('Ann', 30),
        str: 'é漢😀\u2028"\\\n\u0000',
        num: [0, -0, 1e21, 1.5, 5e-324, Number.MAX_SAFE_INTEGER],
        empty: {},
        emptyArr: [],
      })).callable(),
      everything: os.input(type<object>()).handler(({ input }) => input).callable(),
      older: os.input(type<User>()).handler(({ input }) => new User(input.name, input.age + 1)).callable(),
      throwPlain: os.handler((): void => {
        throw new Error(SECRET)
      }).callable(),
      throwTypeError: os.handler(() => (undefined as any).property).callable(),
      throwOrpc: os.handler((): void => {
        const data = { a: 1, when: new Date('2020-01-01T00:00:00.000Z'), n: 1n }
        throw new ORPCError('CONFLICT', { message: 'already there', data })
      }).callable(),
      throwTeapot: os.handler((): void => {
        throw new ORPCError('MY_CODE', { status: 418, message: 'teapot' })
      }).callable(),
      throwDefined: os.handler((): void => {
        throw new ORPCError('RATE_LIMITED', { status: 429, message: 'slow down', data: { retryAfter: 60 } })
      }).callable(),
      throwDeclared: os
        .errors({ OUT_OF_STOCK: { status: 409 } })
        .handler(({ errors }): void => {
          throw errors.OUT_OF_STOCK()
        })
        .callable(),
      needsNumber: os
        .input(schema<{ n: number }>(anObject({ n: also(aNumber, (n) => n >= 3, 'expected at least 3') })))
        .handler(({ input }) => input.n * 2)
        .callable(),
      needsName: os
        .input(schema<{ name: string }>(anObject({ name: also(aString, (name) => name.trim() !== '', 'expected a name') })))
        .handler(({ input }) => input.name)
        .callable(),
      needsPeriod: os.input(period).handler(() => {}).callable(),
      needsShapes: os.input(shapes).handler(({ input }) => `${input.tagged.radius} ${input.untagged}`).callable(),
      readStored: os.input(line).handler(({ input }) => readStored(input)).callable(),
      takesSeats: os.input(booking).handler(({ input }) => input.seats).callable(),
      badOutput: os.output(unwritable).handler(() => SECRET).callable(),
      slow: os
        .handler(async ({ signal }) => {
          this.#diary.write('slow began')
          await this.#diary.line('never', signal)
          this.#diary.write('slow dropped')
          this.#diary.write(`slow's call is aborted: ${signal?.aborted}`)
        })
        .callable(),
      stream: os
        .handler(async function* () {
          yield { n: 1 }
          yield withEventMeta({ n: 2, when: new Date(0) }, { id: 'ev-2', retry: 1234, comments: ['hello', 'world'] })
          yield 3
          return withEventMeta({ end: true }, { id: 'end-id' })
        })
        .callable(),
      endless: os
        .handler(() => this.#endless())
        .callable(),
      failing: os
        .input(type<string | undefined>())
        .handler(async function* ({ input }) {
          yield 1
          if (input === undefined) throw new Error(SECRET)
          throw new ORPCError(input, { status: 409, message: 'half way', data: new Date(0) })
        })
        .callable(),
      badItem: os
        .output(eventIterator(unwritable))
        .handler(async function* () {
          yield SECRET
        })
        .callable(),
      refusedStream: os
        .handler((): AsyncGenerator<number> => {
          throw new ORPCError('FORBIDDEN', { message: 'No stream for you.' })
        })
        .callable(),
      resumed: os
        .handler(async function* ({ lastEventId }) {
          for (let n = Number(lastEventId ?? 0) + 1; n <= 3; n++) yield withEventMeta({ n }, { id: `${n}` })
        })
        .callable(),
      withMeta: os
        .input(type<{ retry?: number; comments?: string[]; id?: string }>())
        .handler(async function* ({ input }) {
          yield withEventMeta({ n: 1 }, input)
          yield 2
        })
        .callable(),
      file: os.input(schema<File>(aBlob)).handler(({ input }) => describe(input)).callable(),
      fileInObject: os.input(schema<{ d: File }>(anObject({ d: aBlob }))).handler(({ input }) => describe(input.d)).callable(),
      files: os.input(type<File[]>()).handler(({ input }) => input.toReversed()).callable(),
      getFile: os
        .handler(() => new File([new Uint8Array([0x00, 0x01, 0xfe, 0xff, 0x7b, 0x22])], 'näme "q".bin', { type: 'application/x-test' }))
        .callable(),
      getBlob: os.handler(() => new Blob(['blob body'], { type: 'text/plain' })).callable(),
      getEmptyFile: os.handler(() => new File([], 'empty.txt', { type: 'text/plain' })).callable(),
      getForm: os
        .handler(() => ({ note: 'with file', at: new Date(0), file: new File(['file in object'], 'f.txt', { type: 'text/plain' }) }))
        .callable(),
      /** Procedures that respond when the diary has a line. */
      wait: {
        value: os
          .input(line)
          .handler(async ({ input, signal }) => {
            this.#diary.write(`${input} began`)
            await this.#diary.line(`go ${input}`, signal)
            this.#diary.write(`${input} dropped`)
            return input
          })
          .callable(),
        stream: os
          .input(line)
          .handler(({ input, signal }) => this.#waiting(input, signal))
          .callable(),
      },
    }
  }

  upload() {
    return {
      sum: os
        .input(eventIterator(schema<number>(aNumber)))
        .handler(async ({ input }) => {
          let sum = 0
          for await (const number of input) sum += number
          return sum
        })
        .callable(),
      first: os
        .input(eventIterator(type<unknown>()))
        .handler(async ({ input }) => {
          for await (const value of input) return value
          return null
        })
        .callable(),
      held: os
        .input(eventIterator(type<unknown>()))
        .handler(async ({ input, signal }) => {
          this.#diary.write('held began')
          await this.#diary.line('go held', signal)
          const items: string[] = []
          try {
            for await (const _ of input) items.push('item')
          } catch (error) {
            items.push((error as ORPCError<string, unknown>).code)
          } finally {
            this.#diary.write('held dropped')
          }
          return items
        })
        .callable(),
    }
  }

  /** A stream that never waits. Other tasks must still run. */
  async *#endless(): AsyncGenerator<number> {
    this.#diary.write('endless began')
    try {
      for (let number = 0; ; number++) yield number
    } finally {
      this.#diary.write('endless dropped')
    }
  }

  async *#waiting(line: string, signal: AbortSignal | undefined): AsyncGenerator<string> {
    this.#diary.write(`${line} began`)
    try {
      yield 'first'
      await this.#diary.line(`go ${line}`, signal)
      yield 'second'
    } finally {
      this.#diary.write(`${line} dropped`)
    }
  }

  // RPC methods.

  async until(line: string): Promise<void> {
    await this.#diary.line(line)
  }

  write(line: string): void {
    this.#diary.write(line)
  }

  readStored(what: string): void {
    readStored(what)
  }

  takesSeats({ seats }: { seats: number }): number {
    if (seats > 255) throw new ORPCError('BAD_REQUEST', { message: 'Input validation failed' })
    return seats
  }
}
