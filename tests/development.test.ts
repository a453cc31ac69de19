// A change of the code of a Worker under `wrangler dev`: the open sockets are lost, and clients resume after it.

import { appendFile, mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, expect, test } from 'vitest'

import { subscribe } from '../npm/durable-event-iterator/src/client/index.ts'
import { Client, token } from './support/client.ts'
import { packNpmPackage } from './support/npm-package.ts'
import { createProject, PUBLISH_KEY } from './support/project.ts'
import type { Project } from './support/project.ts'
import { BareSocket } from './support/socket.ts'

/** A tool compiles and starts a runtime, in milliseconds. */
const TIMEOUT = 120_000

let folder: string
let project: Project
beforeAll(async () => {
  folder = await mkdtemp(join(await realpath(tmpdir()), 'npm-package-'))
  project = await createProject('channels', await packNpmPackage(folder))
}, TIMEOUT)
afterAll(async () => {
  await project.dispose()
  await rm(folder, { recursive: true, force: true })
})

test('a code change closes the sockets, and clients resume without a lost or repeated event', { timeout: TIMEOUT }, async () => {
  const server = await project.serve('Ready on', 'wrangler', 'dev', '--inspector-port', '0')
  try {
    const url = `ws://${server.host}/`
    const chn = 'some-room'
    const stock = await Client.connect(`${url}?token=${await token({ chn })}`)
    const stockEvents = await stock.subscribe()
    const gaps: unknown[] = []
    const events = subscribe<{ n: number }>({ url, token: () => token({ chn }), onGap: (gap) => gaps.push(gap) })
    await events.opened()
    const iterator = events[Symbol.asyncIterator]()
    // While the runtime restarts, requests fail. With the idempotency key, repeated requests publish once.
    const publish = async (n: number): Promise<void> => {
      const headers = { authorization: `Bearer ${PUBLISH_KEY}`, 'idempotency-key': `event-${n}` }
      for (;;) {
        const response = await fetch(`http://${server.host}/channels/${chn}/events`, { method: 'POST', headers, body: JSON.stringify({ n }) }).catch(() => undefined)
        if (response !== undefined && response.status < 500) return expect(response.status, await response.text()).toBeLessThan(300)
        await new Promise((resolve) => setTimeout(resolve, 100))
      }
    }
    await publish(1)
    expect((await iterator.next()).value).toEqual({ n: 1 })
    expect(await stockEvents.count(1)).toEqual([{ n: 1 }])
    for (let n = 2; n <= 3; n++) {
      const bare = await BareSocket.open(`${url}?token=${await token({ chn })}`)
      await appendFile(join(project.folder, 'src/index.ts'), `\nexport const change${n} = ${n}\n`)
      expect(await bare.end()).toEqual({ code: 1006, reason: '' })
      await publish(n)
      expect((await iterator.next()).value).toEqual({ n })
      expect(await stockEvents.count(n)).toEqual(Array.from({ length: n }, (_, index) => ({ n: index + 1 })))
    }
    expect(gaps).toEqual([])
    events.close()
    stock.close()
  } finally {
    await server.stop()
  }
})
