// A module in front of the Workers of a run: it does what an application can do with their Durable Objects, and writes data
// that another version of the library could have written.

/** The ways to delete the storage of a channel. */
export const WIPES = ['delete all', 'drop tables'] as const

/** Attachments of sockets that this version cannot read. */
export const ATTACHMENTS = [
  'null',
  'undefined',
  'text',
  'object',
  'bytes',
  'no bytes',
  'empty session',
  'half a session',
  'another version',
  'no claims',
  'no expiry',
  'not enforced or not',
  'half a subscription',
] as const

/** The origin of requests to the front of a Durable Object. No outside request has this host. */
export const FRONT_ORIGIN = 'http://front.invalid'

export type FrontRequest =
  | { wipe: (typeof WIPES)[number] }
  /** `socket` chooses one of the open sockets: at least 0, less than 1. Responds with their number. */
  | { attachment: (typeof ATTACHMENTS)[number]; socket: number }

/** The source of an ES module that exports these classes of `./index.js`, each behind its front. */
export function front(classes: readonly string[]): string {
  return `${FRONT}\n${classes.map((name) => `export const ${name} = fronted(worker.${name})`).join('\n')}`
}

const FRONT = `
import * as worker from './index.js'

export { default } from './index.js'

const wipes = {
  'delete all': (storage) => storage.deleteAll(),
  'drop tables': (storage) => storage.transactionSync(() => {
    const tables = storage.sql.exec("SELECT name FROM sqlite_master WHERE type = 'table' AND name GLOB 'dei_*'").toArray()
    for (const { name } of tables) storage.sql.exec('DROP TABLE "' + name + '"')
  }),
}

const bytes = (text) => new TextEncoder().encode(text)
/** Returns the changed attachment. */
const changed = (old, change) => {
  const session = JSON.parse(new TextDecoder().decode(old))
  change(session)
  return bytes(JSON.stringify(session))
}
const attachments = {
  null: () => null,
  undefined: () => undefined,
  text: () => 'a text',
  object: (old) => ({ session: old }),
  bytes: () => new Uint8Array([0xff, 0xfe, 0xfd]),
  'no bytes': () => new Uint8Array(),
  'empty session': () => bytes('{}'),
  'half a session': (old) => old.subarray(0, old.length / 2),
  'another version': (old) => changed(old, (session) => (session.version = 999)),
  'no claims': (old) => changed(old, (session) => delete session.claims),
  'no expiry': (old) => changed(old, (session) => delete session.claims.exp),
  'not enforced or not': (old) => changed(old, (session) => delete session.enforced),
  'half a subscription': (old) => changed(old, (session) => (session.subscription = { id: session.subscription?.id ?? '0' })),
}

async function disturb(ctx, { wipe, attachment, socket }) {
  if (wipe !== undefined) {
    await wipes[wipe](ctx.storage)
    return {}
  }
  // An attachment that was changed before is kept.
  const sockets = ctx.getWebSockets().filter((ws) => ws.readyState === WebSocket.READY_STATE_OPEN && isReadable(ws))
  const ws = sockets[Math.floor(socket * sockets.length)]
  ws?.serializeAttachment(attachments[attachment](ws.deserializeAttachment()))
  return { sockets: sockets.length }
}

function isReadable(ws) {
  try {
    return JSON.parse(new TextDecoder().decode(ws.deserializeAttachment())).claims.exp > 0
  } catch {
    return false
  }
}

const fronted = (target) => new Proxy(target, {
  construct(target, [ctx, env], newTarget) {
    const object = Reflect.construct(target, [ctx, env], newTarget)
    return new Proxy(object, {
      get(object, key) {
        const value = Reflect.get(object, key)
        if (key === 'fetch') {
          return async (request) =>
            new URL(request.url).origin === '${FRONT_ORIGIN}'
              ? Response.json(await disturb(ctx, await request.json()))
              : object.fetch(request)
        }
        return typeof value === 'function' ? value.bind(object) : value
      },
    })
  },
})
`
