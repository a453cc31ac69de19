// The page and the component of the tests, bundled with a version of React.

import { mkdtemp, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

import { build } from 'esbuild'
import type { BuildOptions } from 'esbuild'

import type { RoomProps } from './room.tsx'

/** The tested versions of React: the oldest supported one and the newest one. */
export const REACT_VERSIONS = ['18', '19'] as const
export type ReactVersion = (typeof REACT_VERSIONS)[number]

const bundles = new Map<string, Promise<string>>()

async function bundle(entry: string, version: ReactVersion, options: BuildOptions): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL(entry, import.meta.url))],
    bundle: true,
    write: false,
    target: 'es2022',
    jsx: 'automatic',
    // The development build of React, which reports wrong uses.
    define: { 'process.env.NODE_ENV': '"development"' },
    ...(version === '18' ? { alias: { react: 'react-18', 'react-dom': 'react-dom-18' } } : {}),
    logLevel: 'error',
    ...options,
  })
  return outputFiles![0]!.text
}

/** Returns the script of a page. */
export function bundleForBrowser(version: ReactVersion, page: string): Promise<string> {
  const key = `${page} ${version}`
  const known = bundles.get(key) ?? bundle(page, version, { format: 'iife' })
  bundles.set(key, known)
  return known
}

export interface ServerModule {
  renderRoom(props: Omit<RoomProps, 'open'>): string
  /** The calls of the factory. */
  calls: string[]
}

/** Returns a module that renders the component to HTML in Node.js. */
export async function importForServer(version: ReactVersion): Promise<ServerModule> {
  const folder = await mkdtemp(join(await realpath(tmpdir()), 'react-server-'))
  const file = join(folder, 'server.mjs')
  const banner = { js: "import { createRequire } from 'node:module'\nconst require = createRequire(import.meta.url)" }
  await writeFile(file, await bundle('server.tsx', version, { format: 'esm', platform: 'node', banner }))
  try {
    return (await import(/* @vite-ignore */ pathToFileURL(file).href)) as ServerModule
  } finally {
    await rm(folder, { recursive: true })
  }
}
