// The sizes of bundles with the clients, as a browser downloads them: bundled and minified by esbuild, compressed by gzip.

import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'

import { build } from 'esbuild'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** In bytes. */
export interface Size {
  minified: number
  gzip: number
}

export interface Bundled extends Size {
  /** The bundled modules, relative to the root of the repository. */
  modules: string[]
  /** The packages that the bundle imports and does not contain. */
  imports: string[]
}

/** Packages that a bundle can leave out. */
const ORPC = ['@orpc/*', '@standardserver/*']
const REACT = ['react', 'react/*']

/** An application with oRPC's client, and with a link plugin if there is one. */
function application(plugin?: string): string {
  const [line, plugins] = plugin === undefined ? ['', ''] : [plugin, `, plugins: [new DurableEventIteratorLinkPlugin({ url: '/ws' })]`]
  return `
    import { createORPCClient } from '@orpc/client'
    import { RPCLink } from '@orpc/client/fetch'
    ${line}
    export const client = createORPCClient(new RPCLink({ url: '/rpc'${plugins} }))`
}

/** Returns the source of a bundle from the paths of entry points. */
type Source = (path: (entry: string) => string) => string

interface Bundle {
  /** The entry points that it needs, such as `client`. */
  entries: string[]
  source: Source
  external?: string[]
  /** The same bundle without the package, whose size is subtracted. */
  without?: Source
  /** The version of oRPC that the bundle contains. */
  orpc?: 1 | 2
}

const plugin = (entry: string): Source => (path) =>
  `import { DurableEventIteratorLinkPlugin } from '${path(entry)}'`
const adapter = (entry: string, orpc: 1 | 2): Record<'alone' | 'added' | 'application', Bundle> => ({
  alone: {
    entries: [entry],
    source: (path) => `export { DurableEventIteratorLinkPlugin } from '${path(entry)}'`,
    external: ORPC,
    orpc,
  },
  added: {
    entries: [entry],
    source: (path) => application(plugin(entry)(path)),
    without: () => application(),
    orpc,
  },
  application: {
    entries: [entry],
    source: (path) => application(plugin(entry)(path)),
    orpc,
  },
})
const [v1, v2] = [adapter('orpc-v1', 1), adapter('orpc-v2', 2)]

const standalone: Source = (path) => `export { subscribe } from '${path('client')}'`

const BUNDLES = {
  client: {
    entries: ['client'],
    source: standalone,
  },
  react: {
    entries: ['react'],
    source: (path) => `export * from '${path('react')}'`,
    external: REACT,
  },
  tabs: {
    entries: ['client', 'tabs'],
    source: (path) => `${standalone(path)}\nexport { shareBetweenTabs } from '${path('tabs')}'`,
    without: standalone,
  },
  http: {
    entries: ['client', 'http'],
    source: (path) => `${standalone(path)}\nexport { httpFallback } from '${path('http')}'`,
    without: standalone,
  },
  v1Alone: v1.alone,
  v1Added: v1.added,
  v1Application: v1.application,
  v2Alone: v2.alone,
  v2Added: v2.added,
  v2Application: v2.application,
} satisfies Record<string, Bundle>

export type BundleName = keyof typeof BUNDLES
export type Sizes = Partial<Record<BundleName, Size>>

/** Returns the sizes of all bundles whose entry points exist. */
export async function sizes(): Promise<Sizes> {
  const measured: Sizes = {}
  for (const name of Object.keys(BUNDLES) as BundleName[]) {
    const bundle: Bundle = BUNDLES[name]
    if (bundle.entries.every((entry) => existsSync(pathOf(entry)))) measured[name] = await difference(bundle, pathOf)
  }
  return measured
}

/** Returns the sizes of the link plugin for oRPC 1.x in a checkout whose entry point `/client` is that plugin. */
export async function sizesBefore(folder: string): Promise<Sizes> {
  const path = (): string => join(resolve(folder), fileOf('client'))
  return {
    v1Alone: await difference(v1.alone, path),
    v1Added: await difference(v1.added, path),
    v1Application: await difference(v1.application, path),
  }
}

/** Bundles an entry point of the package. */
export function bundleOf(name: BundleName): Promise<Bundled> {
  const bundle: Bundle = BUNDLES[name]
  return measure(bundle.source(pathOf), bundle)
}

const fileOf = (entry: string): string => `npm/durable-event-iterator/src/${entry}/index.ts`
const pathOf = (entry: string): string => join(root, fileOf(entry))

async function difference(bundle: Bundle, path: (entry: string) => string): Promise<Size> {
  const { minified, gzip } = await measure(bundle.source(path), bundle)
  if (bundle.without === undefined) return { minified, gzip }
  const without = await measure(bundle.without(path), bundle)
  return { minified: minified - without.minified, gzip: gzip - without.gzip }
}

async function measure(source: string, { external = [], orpc }: Pick<Bundle, 'external' | 'orpc'>): Promise<Bundled> {
  const { outputFiles, metafile } = await build({
    stdin: { contents: source, resolveDir: root, loader: 'ts' },
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
    // A checkout elsewhere has no packages.
    nodePaths: [join(root, 'node_modules')],
    format: 'esm',
    target: 'es2022',
    platform: 'browser',
    external,
    // The names of external packages must not change.
    ...(orpc === 2 && external.length === 0 ? { alias: ORPC_2 } : {}),
  })
  const { contents } = outputFiles[0]!
  const imports = Object.values(metafile.outputs).flatMap((output) => output.imports.map(({ path }) => path))
  return {
    minified: contents.length,
    gzip: gzipSync(contents, { level: 9 }).length,
    modules: Object.keys(metafile.inputs).filter((module) => module !== '<stdin>'),
    imports: [...new Set(imports)],
  }
}

/** The name under which oRPC 2 is installed, beside oRPC 1. */
const ORPC_2 = { '@orpc/client': 'orpc-client-2.0.0-beta.16' }
