// The parser of server-sent events, which reads whatever a server or a proxy sends.

import { expect, test } from 'vitest'

import { EventStreamParser } from '../../../npm/durable-event-iterator/src/http/event-stream.ts'
import type { ServerSentEvent } from '../../../npm/durable-event-iterator/src/http/event-stream.ts'

function parse(parts: string[], maxLength = 1_000): ServerSentEvent[] {
  const parser = new EventStreamParser(maxLength)
  return parts.flatMap((part) => parser.push(part))
}

const STREAM = ': \n\nevent: message\nretry: 7\nid: 12\n: one\n:two\ndata: {"json":\ndata: {"n":1}}\n\n: \n\nevent:gap\ndata:{"json":{}}\n\ndata\n\nid: 3\n\n'
const EVENTS = [
  { event: 'message', retry: 7, id: '12', comments: ['one', 'two'], data: '{"json":\n{"n":1}}' },
  { event: 'gap', data: '{"json":{}}', comments: [] },
  { event: 'message', data: '', comments: [] },
  { event: 'message', id: '3', comments: [] },
]

test('it reads fields, comments, and data of several lines, and ignores events that are only comments', () => {
  expect(parse([STREAM])).toMatchObject(EVENTS)
})

test('parts may end anywhere, and lines may end with CR, LF or both', () => {
  for (const ending of ['\n', '\r\n', '\r']) {
    const stream = `${STREAM.replaceAll('\n', ending)}data: end${ending}${ending}\n`
    for (let size = 1; size <= 9; size += 1) {
      const parts = Array.from({ length: Math.ceil(stream.length / size) }, (_, index) => stream.slice(index * size, (index + 1) * size))
      expect(parse(parts).slice(0, 4), `${JSON.stringify(ending)}, ${size}`).toMatchObject(EVENTS)
    }
  }
})

test('unknown fields, an invalid delay and empty parts are ignored', () => {
  expect(parse(['', 'nonsense\nretry: soon\n', '', 'other: field\ndata: 1\n\n'])).toMatchObject([{ data: '1', retry: undefined }])
})

test('an event that is too long is an error, whether or not its lines end', () => {
  const limit = /an event of the stream is longer than 1000 characters/
  expect(() => parse(Array.from({ length: 11 }, () => 'x'.repeat(100)))).toThrow(limit)
  expect(() => parse(Array.from({ length: 200 }, () => 'data:\n'))).toThrow(limit)
  expect(parse(Array.from({ length: 1_000 }, () => ': keep-alive\n\n'))).toEqual([])
})
