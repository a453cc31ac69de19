// Calls the Worker at a host, and prints what it receives.

import { createORPCClient, ORPCError } from '@orpc/client'
import { RPCLink } from '@orpc/client/fetch'
import type { RouterClient } from '@orpc/server'
import { DurableIteratorLinkPlugin } from 'durable-event-iterator/orpc-v2'

import type { router } from './src/router.ts'

declare const process: { argv: string[] }

const host = process.argv[2]
const link = new RPCLink({
  origin: `http://${host}`,
  url: '/rpc',
  plugins: [new DurableIteratorLinkPlugin({ url: `ws://${host}/room` })],
})
const client: RouterClient<typeof router> = createORPCClient(link)
const iterator = await client.onMessage()

await client.sendMessage({ text: 'from the server' })
const id: string = await iterator.say({ text: 'from a client' })
const events = [await iterator.next(), await iterator.next()].map(({ value }) => value)

/** Returns the parts of the error of a procedure. */
async function errorOf(call: Promise<unknown>): Promise<unknown[]> {
  const error: unknown = await call.catch((thrown: unknown) => thrown)
  if (!(error instanceof ORPCError)) return [error]
  return [error.code, error.message, error.data, error.inferable, Reflect.get(error, 'status')]
}

const errors = [await errorOf(iterator.shop.buy()), await errorOf(iterator.shop.order())]
const file = await iterator.shop.upper(new File(['a text'], 'a.txt'))
const numbers: number[] = []
for await (const { n } of await iterator.shop.countdown(3)) numbers.push(n)
for await (const { n } of await iterator.shop.countdown(3, { lastEventId: '1' })) numbers.push(n)

console.log(
  JSON.stringify({
    hasId: Number(id) > 0,
    events,
    said: await iterator.shop.said(),
    errors,
    file: [file.name, await file.text()],
    numbers,
    calls: await client.calls(),
  }),
)
await iterator.return()
