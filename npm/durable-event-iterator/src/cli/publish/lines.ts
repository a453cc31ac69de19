import { setTimeout as delay } from 'node:timers/promises'

import { messageOf } from '../../client/errors.js'
import { Failure } from '../errors.js'
import { PublishError } from './publisher.js'
import type { BatchItem, Published, Publisher } from './publisher.js'

export interface LinesOptions {
  readonly publisher: Publisher
  readonly idempotencyKey: string | undefined
  onPublished(published: readonly Published[]): Promise<void>
}

/** The limits of a batch: the endpoint accepts 1,000 events and 8 MiB, including the options of each event. */
const MAX_EVENTS = 1_000
const MAX_CHARACTERS = 2 * 1_024 * 1_024

/** The time without a further line after which the events are published, in milliseconds. */
const IDLE_MS = 25

interface Line extends BatchItem {
  readonly number: number
}

/**
 * Publishes each line as an event, in batches and in order. Blank lines are ignored.
 *
 * @throws {Failure} When a line cannot be read or is not JSON, or publishing fails; the message has the numbers of the lines. All lines before are published
 *   then, and none after.
 */
export async function publishLines(lines: AsyncIterable<string>, { publisher, idempotencyKey, onPublished }: LinesOptions): Promise<void> {
  const iterator = lines[Symbol.asyncIterator]()
  let batch: Line[] = []
  let characters = 0
  let number = 0
  const flush = async (): Promise<void> => {
    const [first, last] = [batch[0]?.number, batch.at(-1)?.number]
    if (first === undefined) return
    const items = batch.map(({ number: _, ...item }) => item)
    batch = []
    characters = 0
    let published: readonly Published[]
    try {
      published = await publisher.publishBatch(items)
    } catch (error) {
      const [which, verb] = first === last ? [`line ${first}`, 'is'] : [`lines ${first}–${last}`, 'are']
      const mayBePublished = error instanceof PublishError && error.mayBePublished
      const what = mayBePublished ? `it is unknown whether ${which} ${verb} published` : `${which} ${verb} not published`
      throw new Failure(`${what}: ${messageOf(error)}${first === 1 ? '' : '; all lines before are published'}`)
    }
    await onPublished(published)
  }
  const read = (): Promise<IteratorResult<string>> => {
    const result = iterator.next()
    // It may fail while a batch is published. The error is thrown when the result is awaited.
    result.catch(() => {})
    return result
  }
  for (let next = read(); ; ) {
    let result: IteratorResult<string> | undefined
    try {
      result = batch.length === 0 ? await next : await orIdle(next)
    } catch (error) {
      await flush()
      throw new Failure(`cannot read line ${number + 1}: ${messageOf(error)}${number === 0 ? '' : '; all lines before are published'}`)
    }
    if (result === undefined) {
      await flush()
      continue
    }
    if (result.done === true) break
    number += 1
    next = read()
    if (result.value.trim() === '') continue
    const event = result.value
    try {
      JSON.parse(event)
    } catch (error) {
      await flush()
      throw new Failure(`line ${number} is not JSON: ${(error as Error).message}${number === 1 ? '' : '; all lines before are published'}`)
    }
    batch.push({ event, number, ...(idempotencyKey === undefined ? {} : { idempotencyKey: `${idempotencyKey}#${number}` }) })
    characters += event.length + publisher.optionsLength
    if (batch.length >= MAX_EVENTS || characters >= MAX_CHARACTERS) await flush()
  }
  await flush()
}

/** Returns the next line, or `undefined` if there is none in time. */
async function orIdle<T>(next: Promise<T>): Promise<T | undefined> {
  const waiting = new AbortController()
  const idle = delay(IDLE_MS, undefined, { signal: waiting.signal }).catch(() => undefined)
  return Promise.race([next, idle]).finally(() => waiting.abort())
}
