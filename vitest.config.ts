import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    environment: 'node',
    include: ['tests/**/*.test.ts'],
    // Each worker process starts runtimes of its own; more of them than this only slow each other down.
    pool: 'forks',
    maxWorkers: 2,
    // In milliseconds. Starting a runtime takes a second or two, and much longer on a busy machine.
    testTimeout: 30_000,
    hookTimeout: 60_000,
    teardownTimeout: 20_000,
  },
})
