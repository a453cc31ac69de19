// A page that imports the sources of the Worker. It is only compiled, with the types of browsers and those of Workers.

import type { RouterClient } from '@orpc/server'

import type { router } from '../src/router'

export async function show(client: RouterClient<typeof router>): Promise<void> {
  const iterator = await client.onMessage({ userId: 'ann' })
  const pong: string = await iterator.router.ping()
  document.title = pong
  for await (const { message } of iterator) document.body.append(message)
  // @ts-expect-error The token does not allow it.
  await iterator.count()
}
