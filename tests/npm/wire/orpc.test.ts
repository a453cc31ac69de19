// The codec as the counterpart of oRPC's peers and serializers of five versions.

import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

import { describe, expect, test } from 'vitest'

import { Peer } from '../../../npm/durable-event-iterator/src/client/wire/peer.ts'
import { Serializer } from '../../../npm/durable-event-iterator/src/client/wire/serializer.ts'
import { corpus, customJsonSerializers, describeValue, file } from '../../golden/corpus.ts'

const VERSIONS = ['1.6.6', '1.8.8', '1.9.4', '1.14.6', '1.16.1'] as const

describe.each(VERSIONS)('oRPC %s', async (version) => {
  const { ServerPeer } = await import(`orpc-standard-server-peer-${version}`)
  const { StandardRPCJsonSerializer, StandardRPCSerializer } = await import(`orpc-client-${version}/standard`)
  const theirs = new StandardRPCSerializer(new StandardRPCJsonSerializer({ customJsonSerializers }))
  const ours = new Serializer(customJsonSerializers)

  test.each(Object.entries(corpus))('echoes: %s', async (_, value) => {
    const server = new ServerPeer((message: string | ArrayBuffer) => peer.receive(message))
    const peer = new Peer(async (message) => {
      const [id, request] = await server.message(message)
      if (request) await server.response(id, { status: 200, headers: {}, body: theirs.serialize(theirs.deserialize(await request.body)) })
    })
    const { body } = await peer.request({ url: '/echo', body: ours.serialize(value) })
    expect(await describeValue(ours.deserialize(body))).toEqual(await describeValue(value))
    expect(JSON.stringify(ours.serialize(value))).toBe(JSON.stringify(theirs.serialize(value)))
  })
})
