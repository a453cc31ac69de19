// What a browser downloads for the clients of the npm package.

import { expect, test } from 'vitest'

import { bundleOf } from '../bench/clients/sizes.ts'

test('the standalone client has less than 8 KB with gzip, and needs no package', async () => {
  const { gzip, modules, imports } = await bundleOf('client')
  expect(gzip).toBeLessThan(8 * 1_000)
  // With oRPC, the bundle would also contain its modules.
  expect(modules.filter((module) => !module.startsWith('npm/durable-event-iterator/src/'))).toEqual([])
  expect(modules).toContain('npm/durable-event-iterator/src/client/subscription.ts')
  expect(imports).toEqual([])
})

test('the search for packages in a bundle finds those of the link plugin', async () => {
  const { modules } = await bundleOf('v1Application')
  expect(modules.filter((module) => module.includes('@orpc/'))).not.toEqual([])
  const alone = await bundleOf('v1Alone')
  expect(alone.imports.filter((name) => !name.startsWith('@orpc/'))).toEqual([])
})
