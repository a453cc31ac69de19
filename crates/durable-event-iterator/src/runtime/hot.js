// The loops that would cost too much from WASM, one call each. Nothing here decides anything that Rust could decide;
// nothing here throws for one socket's sake.

/**
 * What fan-out keeps of a live subscription: the beginning of its frames, the first millisecond at which its rights have
 * ended, and what decides whether an event is for it. sessions.rs makes it of the socket's attachment.
 */
export function liveView(head, expires, connection, tags) {
  return { head, expires, connection, tags }
}

/** Of a socket that gets nothing live. */
const NOT_LIVE = Object.freeze(liveView('', 0, undefined, undefined))

/** Close code "service restart": the client comes back and resumes. */
const RESTART = 1012

/** Close code "internal error" (RFC 6455, section 7.4.1). */
const INTERNAL_ERROR = 1011

/** What a row of a replay costs besides its text, in characters: `ROW_COST` of log/step.rs. */
const ROW_COST = 256

/**
 * How soon one socket may have another replay begun, in milliseconds. A client has no reason to subscribe more often, and
 * each replay begins with a turn of sending.
 */
const REPLAY_INTERVAL = 100

/**
 * How many different frames of one event are kept while it is sent. A client's first call has the same id as the next
 * client's, so that most frames are the same text, which need not be put together again for each socket.
 */
const SAME_FRAMES = 32

/** What a frame's tail begins with; a marked row begins otherwise: `MARKED_ROW` of log/step.rs. */
const COMMA = 0x2c

/** The kinds of a statement's parameters: as in statement.rs. */
const NULL = 0
const NUMBER = 1
const TEXT = 2

/** The numbers of sockets. After hibernation a socket is a new object, and gets a new one. */
const ids = new WeakMap()
let nextId = 1

/** A number that names this socket for as long as it is the same JavaScript object; 0 where this is none. */
export function idOf(ws) {
  const id = ids.get(ws)
  if (id !== undefined) return id
  if (!(ws instanceof WebSocket)) return 0
  ids.set(ws, nextId)
  return nextId++
}

/** The call that a replay to a socket answers, for as long as it runs. */
export const replaying = new WeakMap()

/**
 * The open sockets of one object. What is kept per socket is only a cache of the attachment: after hibernation the
 * sockets are new JavaScript objects, so nothing needs to be invalidated.
 */
export class Hub {
  #ctx
  #live = new WeakMap()
  #replays = new WeakMap()
  #next = 1
  /** Whether the runtime has been told in this instance to respond to pings. */
  #respondsToPings = false

  constructor(ctx) {
    this.#ctx = ctx
  }

  /** All sockets that are open. */
  sockets() {
    return this.#ctx.getWebSockets().filter(isOpen)
  }

  /** How many sockets are open, of those that were accepted with this tag. */
  count(tag) {
    return this.#ctx.getWebSockets(tag).filter(isOpen).length
  }

  /** How many sockets the runtime holds, those that are closing included. */
  held() {
    return this.#ctx.getWebSockets().length
  }

  /**
   * The response that opens a socket, which is accepted for hibernation, with its attachment in place before the first
   * message can arrive.
   */
  accept(tags, attachment) {
    const { 0: client, 1: server } = new WebSocketPair()
    const response = new Response(null, { status: 101, webSocket: client })
    if (!this.#respondsToPings) {
      this.#ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair('ping', 'pong'))
      this.#respondsToPings = true
    }
    this.#ctx.acceptWebSocket(server, tags)
    try {
      server.serializeAttachment(attachment)
    } catch (error) {
      close(server, INTERNAL_ERROR, 'Internal error') // the runtime would keep it
      throw error
    }
    return response
  }

  attachment(ws) {
    return ws.deserializeAttachment() ?? undefined
  }

  setAttachment(ws, bytes) {
    ws.serializeAttachment(bytes)
    this.#live.delete(ws)
  }

  /**
   * Begins a replay to a socket, as the answer to the call `id`, which ends the one before. Answers with its number, and for
   * how many milliseconds it has to wait.
   */
  startReplay(ws, id, now) {
    const number = this.#next++
    const last = this.#replays.get(ws)?.began ?? -Infinity
    // One that still waits is never begun: this takes its place, or subscribing often would put off the last one for long.
    const began = last > now ? last : Math.max(now, last + REPLAY_INTERVAL)
    this.#replays.set(ws, { number, began, running: true })
    replaying.set(ws, id)
    return [number, began - now]
  }

  /** Ends the replay of this number, if no other has been begun since. */
  endReplay(ws, number) {
    const replay = this.#replays.get(ws)
    if (replay?.number !== number) return
    replay.running = false
    replaying.delete(ws)
  }

  /** The number of the replay that this instance runs to a socket. */
  replayOf(ws) {
    const replay = this.#replays.get(ws)
    return replay?.running ? replay.number : undefined
  }

  #read(ws, read) {
    const view = read(ws) ?? NOT_LIVE
    this.#live.set(ws, view)
    return view
  }

  /**
   * Sends one event to every live subscription; returns the sockets whose token has expired, if any. `read(ws)` makes the
   * view of a socket that has none yet, once per waking.
   * `admits(connection, tags, isChosen)` is there for an event that is not for everybody; `chosen` are the sockets of which it
   * is told so, `except` are left out.
   */
  fanOut(tail, now, read, admits, chosen, except) {
    const sockets = this.#ctx.getWebSockets()
    const [isChosen, isLeftOut] = admits === undefined ? [] : [new Set(chosen), new Set(except)]
    const frames = new Map()
    let expired
    for (let n = 0; n < sockets.length; n++) {
      const ws = sockets[n]
      const { head, expires, connection, tags } = this.#live.get(ws) ?? this.#read(ws, read)
      if (head === '') continue
      if (expires <= now) {
        ;(expired ??= []).push(ws)
        continue
      }
      if (admits !== undefined && (isLeftOut.has(ws) || !admits(connection, tags, isChosen.has(ws)))) continue
      let frame = frames.get(head)
      if (frame === undefined) {
        frame = head + tail
        if (frames.size < SAME_FRAMES) frames.set(head, frame)
      }
      try {
        ws.send(frame)
      } catch {} // closed or closing: it resumes when it comes back
    }
    return expired
  }

  /**
   * Sends the rows of one replay step. A row is [id, tail, audience]; instead of a tail it may have a marked row, of which
   * `makeSafe` makes one, or nothing where it cannot be sent. The cursor is read to its end even when the
   * socket has gone, since an unfinished cursor keeps its table locked. Answers with the last row's id (undefined without
   * rows) and how much work it was, in characters; with nothing when the socket has gone.
   */
  replay(cursor, ws, head, admits, makeSafe) {
    let last
    let open = true
    let work = 0
    // Neighbouring events are often for the same: the verdict is asked for once.
    let known = null
    let admitted = true
    for (const row of cursor.raw()) {
      // Not taken apart: that would be three steps of an iterator for each row.
      let tail = row[1]
      const audience = row[2]
      last = row[0]
      work += tail.length + ROW_COST
      if (audience !== known) {
        known = audience
        // Bytes are there only by hand. WASM must not be handed them as text, which it would believe.
        admitted = audience === null || (typeof audience === 'string' && admits(audience))
      }
      if (!open || !admitted) continue
      if (tail.charCodeAt(0) !== COMMA && (tail = makeSafe(tail)) === undefined) continue
      try {
        ws.send(head + tail)
      } catch {
        open = false
      }
    }
    return open ? [last, work] : undefined
  }
}

/** Closes a socket to which a replay has ended half-way: its client comes back and resumes. */
export function interrupt(ws) {
  close(ws, RESTART, 'Subscription interrupted')
}

/**
 * The key of the hooks of a Durable Object's storage. They stay with it when the WASM instance is lost, and so does the
 * storage; only who listens changes.
 */
const HOOKS = Symbol('durable-event-iterator')

/** What a listener receives: as in storage.rs. */
const BEGUN = 0
const COMMITTED = 1
const ROLLED_BACK = 2
const TAKEN_BACK = 3
const SETTLED = 4
const FAILED = 5
const DELETING = 6
const DELETED = 7

/** The number of the WASM instance. What an earlier one listens with is not called any more. */
let instance = 0

/** What rejects each asynchronous transaction whose code is running. */
const running = new Set()

/** The WASM instance is lost, and with it the code of the transactions that are open: they are rolled back. */
export function instanceLost() {
  instance++
  for (const reject of running) reject(new Error('The instance is lost'))
  running.clear()
}

/**
 * Wraps the methods of a Durable Object's storage that begin and end transactions or delete everything, whoever calls
 * them: `ctx.storage` is one object.
 */
function hook(storage) {
  const { transactionSync, transaction, deleteAll } = storage
  const hooks = {
    transactionSync: (work) => transactionSync.call(storage, work),
    deleteAll: (...args) => deleteAll.call(storage, ...args),
    listener: undefined,
    instance,
  }
  const tell = (what, level = 0) => (hooks.instance === instance ? hooks.listener(what, level) : 0)
  const define = (object, name, value) => Object.defineProperty(object, name, { value, configurable: true, writable: true })

  define(storage, HOOKS, hooks)
  define(storage, 'transactionSync', (work) => {
    const level = tell(BEGUN)
    let result
    try {
      result = transactionSync.call(storage, work)
    } catch (error) {
      // A trap: nothing of the instance may run any more.
      if (!(error instanceof WebAssembly.RuntimeError)) tell(ROLLED_BACK, level)
      throw error
    }
    tell(COMMITTED, level)
    return result
  })
  define(storage, 'transaction', async (work) => {
    let level
    let reject
    const lost = new Promise((_, rejected) => (reject = rejected))
    const settle = (what) => {
      running.delete(reject)
      if (level !== undefined) tell(what, level)
    }
    let result
    try {
      result = await transaction.call(storage, (txn) => {
        level = tell(BEGUN)
        const { rollback } = txn
        define(txn, 'rollback', () => {
          rollback.call(txn)
          tell(TAKEN_BACK, level)
        })
        running.add(reject)
        return Promise.race([work(txn), lost])
      })
    } catch (error) {
      settle(FAILED)
      throw error
    }
    settle(SETTLED)
    return result
  })
  define(storage, 'deleteAll', (...args) => {
    tell(DELETING)
    const deleted = deleteAll.call(storage, ...args)
    // With SQLite everything is gone at once. Nothing promises that, hence again below.
    tell(DELETED)
    return deleted.then(() => void tell(DELETED))
  })
  return hooks
}

/** The storage of one object. A statement comes as one text and its layout, see `Statement` of statement.rs. */
export class Storage {
  #storage
  #hooks
  #sql

  constructor(ctx) {
    this.#storage = ctx.storage
    this.#hooks = this.#storage[HOOKS] ?? hook(this.#storage)
  }

  /** Calls `listener(what, level)` for transactions and deletions. For `BEGUN` it returns the level's number. */
  listen(listener) {
    Object.assign(this.#hooks, { listener, instance })
  }

  /** All rows of a statement as JSON, each an array of its columns; undefined where there are none. */
  run(texts, layout) {
    const rows = [...this.open(texts, layout).raw()]
    return rows.length === 0 ? undefined : JSON.stringify(rows)
  }

  /** A statement whose rows the caller drains. */
  open(texts, layout) {
    let end = layout[0]
    const params = []
    for (let n = 1; n < layout.length; n += 2) {
      const value = layout[n + 1]
      switch (layout[n]) {
        case NULL:
          params.push(null)
          break
        case NUMBER:
          params.push(value)
          break
        case TEXT:
          params.push(texts.slice(end, (end += value)))
          break
      }
    }
    this.#sql ??= sqlOf(this.#storage)
    return this.#sql.exec(texts.slice(0, layout[0]), ...params)
  }

  /** Runs `work` in a transaction, which is rolled back when it answers false. The listener does not hear of it. */
  atomically(work) {
    rollBackUnless(work, this.#hooks.transactionSync)
  }

  /** The same as the application's own transactions: the listener hears of it. */
  transaction(work) {
    rollBackUnless(work, (run) => this.#storage.transactionSync(run))
  }

  /** Deletes everything, unheard by the listener. */
  async deleteAll() {
    await this.#hooks.deleteAll()
  }

  /** Sets the object's alarm unless there is one. */
  async ensureAlarm(at) {
    if ((await this.#storage.getAlarm()) === null) await this.#storage.setAlarm(at)
  }
}

/** Runs `work` in a transaction of `begin`, which is rolled back when it answers false. */
function rollBackUnless(work, begin) {
  let isRolledBack = false
  try {
    begin(() => {
      isRolledBack = !work()
      if (isRolledBack) throw new Error('Rolled back') // the runtime's way to ask for it
    })
  } catch (error) {
    if (!isRolledBack) throw error
  }
}

/** The database of a storage. A class without SQLite storage has none. */
function sqlOf(storage) {
  try {
    return storage.sql
  } catch (error) {
    throw new Error(`list the class under \`new_sqlite_classes\`: ${error.message}`)
  }
}

/** Whether neither side has begun to close a socket. */
function isOpen(ws) {
  return ws.readyState === WebSocket.READY_STATE_OPEN
}

/** Sends a message; false where the socket has closed. */
export function send(ws, message) {
  try {
    ws.send(message)
    return true
  } catch {
    return false
  }
}

/** Closes a socket. An error is a socket that has closed already, or a code that cannot be sent: then it is false. */
export function close(ws, code, reason) {
  try {
    ws.close(code, reason)
    return true
  } catch {
    return false
  }
}

/** Lets others get their say, for one turn of the event loop or for some milliseconds. */
export async function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}
