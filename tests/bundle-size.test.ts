// What a browser downloads for the clients of the npm package.

import { expect, test } from 'vitest'

import { bundleOf } from '../bench/clients/sizes.ts'

test('the standalone client has less than 10.4 KB with gzip, and needs no package', async () => {
  const { gzip, modules, imports } = await bundleOf('client')
  expect(gzip).toBeLessThan(10_400)
  // With oRPC, the bundle would also contain its modules.
  expect(modules.filter((module) => !module.startsWith('npm/durable-event-iterator/src/'))).toEqual([])
  expect(modules).toContain('npm/durable-event-iterator/src/client/subscription.ts')
  expect(imports).toEqual([])
})

test('sharing between tabs adds less than 5 KB with gzip, and the client does not contain it', async () => {
  const [client, tabs] = await Promise.all([bundleOf('client'), bundleOf('tabs')])
  expect(tabs.gzip - client.gzip).toBeLessThan(5 * 1_000)
  expect(client.modules.filter((module) => module.includes('/tabs/'))).toEqual([])
  expect(tabs.imports).toEqual([])
})

test('the fallback to HTTP adds less than 6 KB with gzip, and the client does not contain it', async () => {
  const [client, http] = await Promise.all([bundleOf('client'), bundleOf('http')])
  expect(http.gzip - client.gzip).toBeLessThan(6 * 1_000)
  expect(client.modules.filter((module) => module.includes('/http/'))).toEqual([])
  expect(http.imports).toEqual([])
})

test('the search for packages in a bundle finds those of the link plugin', async () => {
  const { modules } = await bundleOf('v1Application')
  expect(modules.filter((module) => module.includes('@orpc/'))).not.toEqual([])
  const alone = await bundleOf('v1Alone')
  expect(alone.imports.filter((name) => !name.startsWith('@orpc/'))).toEqual([])
})
