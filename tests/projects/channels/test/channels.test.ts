import { env, exports } from 'cloudflare:workers'
import { signDurableIteratorToken } from 'durable-event-iterator'
import { expect, test } from 'vitest'

test('a client receives what is published over HTTP and by a Worker', async () => {
  const now = Math.floor(Date.now() / 1000)
  const token = await signDurableIteratorToken(env.SIGNING_KEY, { chn: 'some-room', rpc: [], iat: now, exp: now + 60 })
  const url = `http://channels/?id=a&token=${encodeURIComponent(token)}`
  const { webSocket } = await exports.default.fetch(url, { headers: { upgrade: 'websocket' } })
  const messages: string[] = []
  webSocket!.accept()
  webSocket!.addEventListener('message', ({ data }) => void messages.push(String(data)))
  webSocket!.send('{"i":"1","p":{"u":"/subscribe","b":{}}}')
  const { status } = await exports.default.fetch('http://channels/channels/some-room/events', {
    method: 'POST',
    headers: { authorization: `Bearer ${env.PUBLISH_KEY}` },
    body: '{"message":"Hello"}',
  })
  expect(status).toBe(201)
  await env.CHANNEL.getByName('some-room').publish({ message: 'Hello again' })
  await expect.poll(() => messages.slice(1).map((message) => JSON.parse(message).p.d.json.message)).toEqual(['Hello', 'Hello again'])
  webSocket!.close()
})
