import { defineConfig } from 'vitest/config'

/** The oRPC versions that the TypeScript package is tested with. */
const orpcVersions = ['1.6.6', '1.8.8', '1.16.1']
const everyVersion = 'tests/npm/every-version/**/*.test.ts'

export default defineConfig({
  test: {
    environment: 'node',
    // Each worker process starts runtimes of its own; more of them than this only slow each other down.
    pool: 'forks',
    maxWorkers: 2,
    // In milliseconds. Starting a runtime takes a second or two, and much longer on a busy machine.
    testTimeout: 30_000,
    hookTimeout: 60_000,
    teardownTimeout: 20_000,
    projects: [
      { extends: true, test: { name: 'all', include: ['tests/**/*.test.ts'], exclude: [everyVersion] } },
      ...orpcVersions.map((version) => ({
        extends: true as const,
        test: { name: `oRPC ${version}`, include: [everyVersion], env: { ORPC_VERSION: version } },
        resolve: {
          // As if it were the one that is installed, for the package's sources and the tests alike.
          alias: [{ find: /^@orpc\/(client|server)/, replacement: `orpc-$1-${version}` }],
        },
      })),
    ],
  },
})
