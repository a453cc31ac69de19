// Tests of the types, with those that `wrangler types` generates. This file is only compiled.

import type { DurableEventIteratorObject, GenericWorkerEnv } from 'durable-event-iterator/worker'

export async function stubs(env: Env): Promise<{ id: string; duplicate: boolean }> {
  const channel = env.CHANNEL.getByName('x')
  await channel.publish(['any JSON'], { tags: ['staff'] })
  // @ts-expect-error An event is an object or an array.
  await channel.publish('Hello')
  const namespace: DurableObjectNamespace<DurableEventIteratorObject> = env.CHANNEL
  const bindings: GenericWorkerEnv = { ...env, CHANNEL: namespace }
  return bindings.CHANNEL.getByName('x').publish({ message: 'Hello' })
}
