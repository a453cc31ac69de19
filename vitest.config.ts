import { defineConfig } from 'vitest/config'

const orpc2 = '2.0.0-beta.16'

/**
 * The tests that run with several oRPC versions: for each kind of client, the versions with that kind, and the newest ones of 1.x
 * and 2.x.
 */
const everyVersion = {
  'tests/npm/every-version/{iterator,rust-server}.test.ts': ['1.6.6', '1.8.8', '1.16.1', orpc2],
  'tests/npm/every-version/plugins.test.ts': ['1.6.6', '1.8.8', '1.16.1'],
  'tests/npm/durable-iterator/iterator.test.ts': ['1.9.4', '1.14.6', '1.16.1', orpc2],
  'tests/npm/durable-iterator/plugins.test.ts': ['1.9.4', '1.14.6', '1.16.1'],
  'tests/npm/orpc-v2/**/*.test.ts': [orpc2],
}

/** The tests that also run with Durable Object classes in TypeScript, for each of oRPC's classes. */
const typescriptClasses = {
  DurableEventIteratorObject: [
    'audiences', 'batches', 'broken-code', 'calls', 'close-hook', 'disconnect', 'events', 'gaps', 'hibernation', 'hostile', 'http-reading', 'idempotency', 'pages',
    'metrics', 'settling', 'npm/stub', 'npm/subscribe', 'presence', 'publisher', 'revoke', 'snapshots', 'soak', 'stats', 'stubs', 'types',
  ],
  DurableIteratorObject: [
    'audiences', 'batches', 'close-hook', 'disconnect', 'durable-iterator', 'hibernation', 'http-reading', 'npm/stub', 'npm/subscribe', 'pages', 'presence',
    'publisher', 'revoke', 'stats',
  ],
}

/** The tests of Durable Object classes in TypeScript that also run with other versions of oRPC in their Worker. */
const classesWithOrpc = [
  { orpc: '1.6.6', implementation: 'DurableEventIteratorObject', files: ['calls', 'typescript-classes'] },
  {
    orpc: orpc2,
    implementation: 'DurableEventIteratorObject',
    files: ['calls', 'events', 'hibernation', 'npm/subscribe', 'snapshots', 'stubs', 'types', 'typescript-classes'],
  },
  { orpc: orpc2, implementation: 'DurableIteratorObject', files: ['calls', 'durable-iterator', 'hibernation', 'npm/subscribe', 'reachable'] },
]

const orpcVersions = [...new Set(Object.values(everyVersion).flat())]
const testsWith = (wanted: string): string[] =>
  Object.entries(everyVersion).flatMap(([tests, versions]) => (versions.includes(wanted) ? [tests] : []))

export default defineConfig({
  test: {
    environment: 'node',
    // More than the cores of a small machine: most tests wait for timers most of the time.
    pool: 'forks',
    maxWorkers: 3,
    // In milliseconds. Starting a runtime takes a second or two, and much longer on a busy machine.
    testTimeout: 30_000,
    hookTimeout: 60_000,
    teardownTimeout: 20_000,
    projects: [
      { extends: true, test: { name: 'all', include: ['tests/**/*.test.ts'], exclude: [...Object.keys(everyVersion), 'tests/projects/**'] } },
      ...Object.entries(typescriptClasses).map(([name, files]) => ({
        extends: true as const,
        test: { name, include: files.map((file) => `tests/${file}.test.ts`), env: { IMPLEMENTATION: name } },
      })),
      ...classesWithOrpc.map(({ orpc, implementation, files }) => ({
        extends: true as const,
        test: {
          name: `${implementation} with oRPC ${orpc}`,
          include: files.map((file) => `tests/${file}.test.ts`),
          env: { IMPLEMENTATION: implementation, ORPC_OF_CLASSES: orpc },
        },
      })),
      ...orpcVersions.map((version) => ({
        extends: true as const,
        test: { name: `oRPC ${version}`, include: testsWith(version), env: { ORPC_VERSION: version } },
        resolve: {
          // Replaces the installed version, for the sources of the package and the tests.
          alias: [
            { find: /^@orpc\/(client|server)/, replacement: `orpc-$1-${version}` },
            // The tests of all versions import the adapter for 1.x.
            ...(version === orpc2 ? [{ find: /\/orpc-v1\/index\.ts$/, replacement: '/orpc-v2/index.ts' }] : []),
          ],
        },
      })),
    ],
  },
})
