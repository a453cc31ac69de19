// The size and the imports of the hook.

import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'

import { build } from 'esbuild'
import { expect, test } from 'vitest'

test('the hook has less than 1 KB with gzip, and imports only React', async () => {
  const entry = fileURLToPath(new URL('../../../npm/durable-event-iterator/src/react/index.ts', import.meta.url))
  const { outputFiles, metafile, warnings } = await build({
    entryPoints: [entry],
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    target: 'es2022',
    packages: 'external',
    metafile: true,
    logLevel: 'silent',
  })
  expect(gzipSync(outputFiles[0]!.contents).length).toBeLessThan(1_000)
  const [output] = Object.values(metafile.outputs)
  expect(output!.imports.map(({ path }) => path)).toEqual(['react'])
  expect(Object.keys(metafile.inputs).filter((path) => !path.includes('/src/react/'))).toEqual([])
  expect(outputFiles[0]!.text.startsWith('"use client";')).toBe(true)
  expect(warnings).toEqual([])
})
