// Bundles the command line into one file, with the packages that it uses and their licenses.

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { build } from 'esbuild'

const folder = fileURLToPath(new URL('.', import.meta.url))

/** The oldest supported Node.js. */
const TARGET = 'node20'

/** @param {string} outfile - The path of the bundle. */
export async function bundleCommandLine(outfile) {
  const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  /** @type {import('esbuild').BuildOptions} */
  const options = {
    absWorkingDir: folder,
    entryPoints: ['src/cli/main.ts'],
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: TARGET,
    define: { VERSION: JSON.stringify(version) },
    // `ws` uses them if they are installed.
    external: ['bufferutil', 'utf-8-validate'],
    legalComments: 'none',
    minify: true,
    metafile: true,
    logLevel: 'warning',
  }
  const { metafile } = await build({ ...options, write: false, outfile })
  // The bundled packages are CommonJS modules, which require the modules of Node.js.
  const require = "import { createRequire as createRequireOfBundle } from 'node:module'\nconst require = createRequireOfBundle(import.meta.url)"
  const banner = { js: `#!/usr/bin/env node\n${licenses(Object.keys(metafile.inputs))}\n${require}` }
  await build({ ...options, outfile, banner })
}

/** Returns the licenses of the bundled packages, as comments. */
function licenses(inputs) {
  const packages = new Set(inputs.map((path) => /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1]).filter((path) => path !== undefined))
  return [...packages].sort().map((path) => {
    const { name, version, license } = JSON.parse(readFileSync(join(folder, path, 'package.json'), 'utf8'))
    const file = ['LICENSE', 'LICENSE.md', 'license'].map((file) => join(folder, path, file)).find(existsSync)
    if (file === undefined) throw new Error(`the package ${name} has no file with its license`)
    return `/*!\n${name} ${version} (${license})\n\n${readFileSync(file, 'utf8').trim().replaceAll('*/', '* /')}\n*/`
  }).join('\n')
}
