// Depends on oRPC 2.x: `AsyncIteratorClass` and `ErrorEvent`.

import { AsyncIteratorClass, ErrorEvent } from '@orpc/client'

import { isPeerStream } from '../client/wire/peer.js'
import { attachMeta } from './event-meta.js'

/**
 * Returns the body of a response in the form that oRPC's plugins and codecs expect. A stream becomes an iterator of the data of its
 * items, which throws an `ErrorEvent` with the data of an error. Other bodies have this form already.
 */
export function toStandardBody(body: unknown): unknown {
  if (!isPeerStream(body)) return body
  return new AsyncIteratorClass<unknown>(
    async () => {
      const { value: item } = await body.next()
      if (item === undefined) return { done: true, value: undefined }
      if (item.event === 'error') throw attachMeta(new ErrorEvent(item.data), item.meta)
      return { done: item.event === 'done', value: attachMeta(item.data, item.meta) }
    },
    async ({ kind }) => {
      if (kind === 'cancelled') await body.return()
    },
  )
}
