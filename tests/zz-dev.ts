import { startWorkers } from '/work/w/d/tests/support/workerd.ts'
import { token, Client, SIGNING_KEY } from '/work/w/d/tests/support/client.ts'
const durableObjects = { CHANNEL: { className: 'DurableEventIteratorObject' } }
const w = await startWorkers({ port: 4666, workers: [{ name: 'worker', crate: '.', variables: { SIGNING_KEY, INSPECT_KEY: 'secret-inspect-key', PRESENCE: 'subject' }, durableObjects }], onLog: (l) => console.log('LOG', l) })
console.log(String(w.url))
let n = 0
setInterval(() => void w.fetch('/channels/events?channel=orders%2Fvienna', { method: 'POST', headers: { authorization: 'Bearer secret-inspect-key', 'content-type': 'application/vnd.orpc+json' }, body: JSON.stringify(n++ % 5 ? { json: { message: 'Hello ' + n, n } } : { json: { type: 'order.paid', order: n, at: new Date().toISOString(), total: '12345678901234567890', items: ['a', 'b'], customer: { name: 'Anna', zip: null } }, meta: [[1, 'at'], [0, 'total'], [6, 'items']] }) }), 2000)
for (const [sub, id] of [['anna', 'c-anna'], ['bert', undefined], ['chris', 'c-chris']] as const) {
  const url = new URL(w.url); url.protocol = 'ws:'
  url.searchParams.set('token', await token({ chn: 'orders/vienna', sub, rpc: ['setPresence'], ...( { tags: ['staff'] } as object) }))
  if (id) url.searchParams.set('id', id)
  const c = await Client.connect(url.href)
  await c.subscribe()
}
