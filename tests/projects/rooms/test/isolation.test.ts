import { runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { expect, test } from 'vitest'

test.each(['CHAT_ROOM', 'NOTES'] as const)('a test file starts with an empty %s', async (binding) => {
  const count = (state: DurableObjectState) => state.storage.sql.exec("SELECT count(*) FROM sqlite_master WHERE name LIKE 'dei_events%'").one()
  const name = binding === 'NOTES' ? 'some-notes' : 'some-room'
  expect(await runInDurableObject(env[binding].getByName(name) as DurableObjectStub, (_object, state) => count(state))).toEqual({ 'count(*)': 0 })
})
