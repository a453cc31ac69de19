// The hot loops over sockets and rows, which Rust enters with one call each because a call per item would be too slow.
// Decisions stay in Rust. A failure of one socket never throws, so the other sockets are still served.

/**
 * Returns the data that fan-out caches for a live subscription: the prefix of its messages, the time at which its token
 * expires in milliseconds, the connection id and tags that an audience is matched against, whether it receives the events of
 * every audience, and for a subscription with flow control the room in characters if only the attachment knows it.
 * `socket/session_store.rs` derives all of it from the socket's attachment.
 */
export function liveView(head, expires, connection, tags, hasEveryAudience, room) {
  return { head, expires, connection, tags, hasEveryAudience, room }
}

/** The view of a socket without a live subscription. That of a member's parked subscription differs in `expires`. */
const NOT_LIVE = Object.freeze(liveView('', Infinity, undefined, undefined, false, undefined))

/** The head in the view of a publisher's subscriber, as in socket/session_store.rs. Its messages have no head. */
const PUBLISHER = 'publisher'

/** Close code "service restart": the client reconnects and resumes. */
const RESTART = 1012

/** Close code "internal error" (RFC 6455, section 7.4.1). */
const INTERNAL_ERROR = 1011

/** Cost of a replayed row besides its text, in characters: `ROW_COST` of crates/durable-event-log/src/step.rs. */
const ROW_COST = 256

/**
 * Minimum interval between two replays to one socket, in milliseconds. A client has no reason to subscribe more often, and
 * the first step of each replay sends without yielding.
 */
const REPLAY_INTERVAL = 100

/** The windows of subscriptions, in characters: `LIVE_WINDOW` and `REPLAY_WINDOW` of runtime/mod.rs. */
const LIVE_WINDOW = 262_144
const REPLAY_WINDOW = 1_048_576

/**
 * Maximum number of distinct messages cached while one event is sent. The first call of every client has the same id, so
 * most sockets receive the same text, which is then concatenated once.
 */
const SAME_FRAMES = 32

/** First character of a marked row: `MARKED_ROW` of channel/replay_row.rs. A message's tail begins with another one. */
const BRACKET = 0x5b

/** The kinds of a statement's parameters, as in statement.rs. */
const NULL = 0
const NUMBER = 1
const TEXT = 2

/** The ids of sockets. After hibernation a socket is a new JavaScript object and gets a new id. */
const ids = new WeakMap()
let nextId = 1

/** Returns the id of a socket, which is valid as long as the JavaScript object exists; 0 if `ws` is not a WebSocket. */
export function idOf(ws) {
  const id = ids.get(ws)
  if (id !== undefined) return id
  if (!(ws instanceof WebSocket)) return 0
  ids.set(ws, nextId)
  return nextId++
}

/** The method of a class object that calls its entry point `PRESENCE`: see `class.js`. */
export const WAKE = Symbol('presence')

/** The class object whose entry point was called last. */
let entered

/** Records the class object of a call. A `Hub` belongs to the object of the call that creates it. */
export function entering(object) {
  entered = object
}

/** The newest hub of each Durable Object, by its `ctx`. */
const hubs = new WeakMap()

/** The timers of class objects. They outlive a WASM instance. */
const timers = new WeakMap()

/** The kinds of work that must not be lost silently, as in javascript/hub.rs. */
const DELIVERY = 0
const ARRIVAL = 1

/** The hubs with such work, by its kind. */
const working = [new Set(), new Set()]

/** The `ctx` of Durable Objects whose live subscriptions may have missed a stored event. */
const missed = new WeakSet()

/** The `ctx` of Durable Objects that may not have announced a member. */
const unannounced = new WeakSet()

/** The delay before sockets that could not be listed are listed again, in milliseconds. */
const RETRY_DELAY = 1_000

/** Handles the work that an instance has begun and not ended when it was lost. */
export function recoverWork() {
  for (const hub of working[DELIVERY]) {
    hub.interruptLive()
    working[DELIVERY].delete(hub)
  }
  for (const hub of working[ARRIVAL]) {
    unannounced.add(hub.ctx)
    working[ARRIVAL].delete(hub)
  }
}

/** The id of the call to which a running replay responds, by socket. */
export const replaying = new WeakMap()

/**
 * The open sockets of one Durable Object. The data per socket is only a cache of its attachment: after hibernation the
 * sockets are new JavaScript objects, so nothing needs to be invalidated.
 */
export class Hub {
  #ctx
  /** The class object. */
  #object
  #live = new WeakMap()
  #replays = new WeakMap()
  /**
   * The rooms of subscriptions, by socket: of those with flow control, and of all during their replay. A room is the number of
   * characters that may still be sent: the window, less what the client has not acknowledged. The last message may exceed it.
   */
  #rooms = new WeakMap()
  #next = 1
  /** Whether this instance has configured the Workers runtime to respond to pings. */
  #respondsToPings = false
  /** The number of messages that fan-outs have sent. */
  #delivered = 0

  constructor(ctx) {
    this.#ctx = ctx
    this.#object = entered
    hubs.set(ctx, this)
  }

  get ctx() {
    return this.#ctx
  }

  /** Begins work of a kind. If the instance is lost before its end, `recoverWork` handles it. */
  begin(kind) {
    working[kind].add(this)
  }

  end(kind) {
    working[kind].delete(this)
  }

  /** Closes the sockets of all subscriptions, which may have missed a stored event: their clients reconnect and resume. Cannot throw. */
  interruptLive() {
    missed.add(this.#ctx)
    try {
      for (const ws of this.sockets()) if (this.#live.get(ws)?.head !== '') interrupt(ws)
      missed.delete(this.#ctx)
    } catch {
      // The event that is sent next comes first, or this timer. It keeps the Durable Object from hibernating, and losing this.
      setTimeout(() => missed.has(this.#ctx) && this.interruptLive(), RETRY_DELAY)
    }
  }

  /** Returns whether an earlier instance may not have announced a member, once. */
  takeUnannounced() {
    return unannounced.delete(this.#ctx)
  }

  /** Returns all open sockets. */
  sockets() {
    return this.#ctx.getWebSockets().filter(isOpen)
  }

  /** Returns the number of open sockets that were accepted with this tag. */
  count(tag) {
    return this.#ctx.getWebSockets(tag).filter(isOpen).length
  }

  /** Returns the number of messages that fan-outs of this instance have sent. */
  delivered() {
    return this.#delivered
  }

  /** Returns the number of sockets that the Workers runtime holds, including closing ones. */
  held() {
    return this.#ctx.getWebSockets().length
  }

  /**
   * Accepts a socket for hibernation and returns the response that opens it, and the socket. The attachment is set before the
   * first message can arrive.
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
      close(server, INTERNAL_ERROR, 'Internal error') // otherwise the runtime keeps the accepted socket
      throw error
    }
    return [response, server]
  }

  attachment(ws) {
    return ws.deserializeAttachment() ?? undefined
  }

  setAttachment(ws, bytes) {
    ws.serializeAttachment(bytes)
    this.#live.delete(ws)
  }

  /**
   * Begins a replay to a socket as the response to the call `id`, and ends the previous one. Returns the replay's number and
   * the delay before its first step, in milliseconds.
   */
  startReplay(ws, id, now) {
    const number = this.#next++
    const last = this.#replays.get(ws)?.began ?? -Infinity
    // A replay that is still waiting is replaced and keeps its start time: otherwise frequent subscribing would delay the last
    // one again and again.
    const began = last > now ? last : Math.max(now, last + REPLAY_INTERVAL)
    this.#replays.set(ws, { number, began, running: true })
    this.#rooms.set(ws, new Room(REPLAY_WINDOW, REPLAY_WINDOW))
    replaying.set(ws, id)
    return [number, began - now]
  }

  /** Ends the replay with this number, unless a newer one has begun. */
  endReplay(ws, number) {
    const replay = this.#replays.get(ws)
    if (replay?.number !== number) return
    replay.running = false
    replaying.delete(ws)
  }

  /** Returns the number of the replay that this instance is running to a socket, or undefined. */
  replayOf(ws) {
    const replay = this.#replays.get(ws)
    return replay?.running ? replay.number : undefined
  }

  /**
   * Ends the room of a replay, whose subscription is live now. What the client has not acknowledged yet is not subtracted from
   * the new room: it would often end a subscription that has just caught up.
   */
  goLive(ws, hasFlowControl) {
    if (hasFlowControl) this.#rooms.set(ws, new Room(LIVE_WINDOW, LIVE_WINDOW))
    else this.#rooms.delete(ws)
  }

  /** Returns whether there is room for the next step of a replay. */
  hasRoom(ws) {
    return this.#roomOf(ws, 0).left > 0
  }

  /** Returns the room of a subscription with flow control; `left` if no instance has counted it since hibernation. */
  #roomOf(ws, left) {
    let room = this.#rooms.get(ws)
    if (room === undefined) this.#rooms.set(ws, (room = new Room(left, LIVE_WINDOW)))
    return room
  }

  /** Adds what the client has acknowledged to the room of its subscription, which it returns. For `left` see `#roomOf`. */
  acknowledge(ws, characters, left) {
    const room = this.#roomOf(ws, left)
    room.left = Math.min(room.left + characters, room.window)
    return room.left
  }

  /** Takes a message from the room of a live subscription. Returns false if there is no room. */
  take(ws, characters, left) {
    const room = this.#roomOf(ws, left)
    if (room.left <= 0) return false
    room.left -= characters
    return true
  }

  /** Excludes a socket from fan-outs until `show`, or until its attachment is set. */
  hide(ws) {
    this.#live.set(ws, NOT_LIVE)
  }

  show(ws) {
    this.#live.delete(ws)
  }

  /** Sets the time at which the entry point `PRESENCE` is called, in milliseconds since 1970; undefined deletes it. */
  schedule(at) {
    const object = this.#object
    clearTimeout(timers.get(object))
    timers.delete(object)
    if (at === undefined) return
    const wake = () => {
      timers.delete(object)
      object[WAKE]()
    }
    timers.set(object, setTimeout(wake, Math.max(0, at - Date.now())))
  }

  #read(ws, read) {
    const view = read(ws) ?? NOT_LIVE
    if (view.room !== undefined) view.room = this.#roomOf(ws, view.room)
    this.#live.set(ws, view)
    return view
  }

  /**
   * Sends one event to every live subscription. Returns two lists, or undefined if both are empty: the sockets whose token has
   * expired, and those whose subscription has no room. `read(ws)` returns the view of a socket, and is called once per socket
   * after hibernation. `admits(connection, tags, isChosen)` is defined for an event with an audience: `isChosen` is true for
   * the sockets in `chosen`. Sockets in `except` are skipped. `forPublishers` is the whole message for publishers' subscribers,
   * or undefined if the class does not serve them.
   */
  fanOut(tail, now, forPublishers, read, admits, chosen, except) {
    if (missed.has(this.#ctx)) this.interruptLive()
    const sockets = this.#ctx.getWebSockets()
    const [isChosen, isLeftOut] = admits === undefined ? [] : [new Set(chosen), new Set(except)]
    const frames = new Map()
    const expired = []
    const full = []
    let sent = 0
    for (let n = 0; n < sockets.length; n++) {
      const ws = sockets[n]
      const { head, expires, connection, tags, hasEveryAudience, room } = this.#live.get(ws) ?? this.#read(ws, read)
      if (expires <= now) {
        expired.push(ws)
        continue
      }
      if (head === '') continue
      const isRestricted = admits !== undefined && !hasEveryAudience
      if (isRestricted && (isLeftOut.has(ws) || !admits(connection, tags, isChosen.has(ws)))) continue
      if (room !== undefined) {
        if (room.left <= 0) {
          full.push(ws)
          continue
        }
        room.left -= head.length + tail.length
      }
      let frame = frames.get(head)
      if (frame === undefined) {
        frame = head === PUBLISHER ? forPublishers : head + tail
        if (frames.size < SAME_FRAMES) frames.set(head, frame)
      }
      if (send(ws, frame)) sent++ // otherwise the client resumes when it reconnects
    }
    this.#delivered += sent
    return expired.length + full.length === 0 ? undefined : [expired, full]
  }

  /**
   * Sends the rows of one replay step. A row is [id, tail, audience]. In place of a tail a row may hold a marked row, which
   * `makeSafe` converts to a tail, or to undefined if the event cannot be sent. Returns the id of the last row (undefined
   * without rows) and the work done, in characters; returns undefined if the socket has closed. The cursor is read to its end
   * even then, since an unfinished cursor keeps its table locked.
   */
  replay(cursor, ws, head, admits, makeSafe) {
    let last
    let open = true
    let work = 0
    let sent = 0
    // Consecutive events often have the same audience, which is then evaluated once.
    let known = null
    let admitted = true
    for (const row of cursor.raw()) {
      // No destructuring: it would take three iterator steps for each row.
      let tail = row[1]
      const audience = row[2]
      last = row[0]
      work += tail.length + ROW_COST
      if (audience !== known) {
        known = audience
        // A row that was edited by hand may hold bytes, which must not reach WASM as text.
        admitted = audience === null || (typeof audience === 'string' && admits(audience))
      }
      if (!open || !admitted) continue
      if (tail.charCodeAt(0) === BRACKET && (tail = makeSafe(tail)) === undefined) continue
      sent += head.length + tail.length
      open = send(ws, head + tail)
    }
    this.#roomOf(ws, 0).left -= sent
    return open ? [last, work] : undefined
  }
}

/** The room of a subscription, in characters: `left` is at most `window`. */
class Room {
  constructor(left, window) {
    this.left = left
    this.window = window
  }
}

/** Closes a socket whose replay has stopped before its end: the client reconnects and resumes. */
export function interrupt(ws) {
  close(ws, RESTART, 'Subscription interrupted')
}

/**
 * The property of a Durable Object's storage that holds its hooks. Storage and hooks outlive a WASM instance; only the
 * listener is replaced.
 */
const HOOKS = Symbol('durable-event-iterator')

/** The events that a listener receives, as in storage_event.rs. */
const BEGUN = 0
const COMMITTED = 1
const ROLLED_BACK = 2
const TAKEN_BACK = 3
const SETTLED = 4
const FAILED = 5
const DELETING = 6
const DELETED = 7

/** The number of the WASM instance. Listeners of earlier instances are no longer called. */
let instance = 0

/** The functions that reject the asynchronous transactions whose code is running. */
const running = new Set()

/** Rolls back all open asynchronous transactions after the WASM instance, and with it their code, was lost. */
export function instanceLost() {
  instance++
  recoverWork()
  for (const reject of running) reject(new Error('The WebAssembly instance was lost'))
  running.clear()
}

/**
 * Wraps the methods of a Durable Object's storage that run transactions or delete everything. This covers calls by the
 * application too, since `ctx.storage` always returns the same JavaScript object.
 */
function hook(ctx) {
  const { storage } = ctx
  const { transactionSync, transaction, deleteAll } = storage
  const hooks = {
    transactionSync: (work) => transactionSync.call(storage, work),
    deleteAll: (...args) => deleteAll.call(storage, ...args),
    listener: undefined,
    instance,
    /** Whether the instance has trapped in a transaction. None of its code may run then. */
    isTrapped: false,
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
      // The class of the exception says nothing: the application may throw any.
      if (!hooks.isTrapped) tell(ROLLED_BACK, level)
      throw error
    }
    tell(COMMITTED, level)
    return result
  })
  define(storage, 'transaction', async (work) => {
    let level
    let reject
    const lost = new Promise((_, rejected) => (reject = rejected))
    const begun = hooks.instance
    const settle = (what) => {
      running.delete(reject)
      if (level === undefined) return
      if (hooks.instance === begun && begun === instance) tell(what, level)
      else if (what === SETTLED) hubs.get(ctx)?.interruptLive() // its events may be stored, and only the lost instance could send them
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
    // SQLite storage is empty at once, but this is not documented: the listener is called again below.
    tell(DELETED)
    return deleted.then(() => void tell(DELETED))
  })
  return hooks
}

/** The storage of one Durable Object. A statement is passed as one text and its layout: see `Statement` in statement.rs. */
export class Storage {
  #storage
  #hooks
  #sql

  constructor(ctx) {
    this.#storage = ctx.storage
    this.#hooks = this.#storage[HOOKS] ?? hook(ctx)
  }

  /** Calls `listener(what, level)` for transactions and deletions. For `BEGUN` the listener returns the level's number. */
  listen(listener) {
    Object.assign(this.#hooks, { listener, instance, isTrapped: false })
  }

  /** Runs a statement and returns all rows as JSON, each an array of its columns; undefined if there are none. */
  run(texts, layout) {
    const rows = [...this.open(texts, layout).raw()]
    return rows.length === 0 ? undefined : JSON.stringify(rows)
  }

  /** Returns the size of the database in bytes. */
  size() {
    return this.#database().databaseSize
  }

  /** Runs a statement and returns its cursor, which the caller must read to the end. */
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
    return this.#database().exec(texts.slice(0, layout[0]), ...params)
  }

  /** Executes SQL of the application. Returns the names of the columns, followed by the rows. */
  exec(query, bindings) {
    const cursor = this.#database().exec(query, ...bindings)
    return [cursor.columnNames, ...cursor.raw()]
  }

  #database() {
    return (this.#sql ??= sqlOf(this.#storage))
  }

  /** Runs `work` in a transaction, which is rolled back if it returns false. The listener is not called. */
  atomically(work) {
    rollBackUnless(work, this.#hooks, this.#hooks.transactionSync)
  }

  /** Does the same as a transaction of the application: the listener is called. */
  transaction(work) {
    rollBackUnless(work, this.#hooks, (run) => this.#storage.transactionSync(run))
  }

  /** Deletes everything without calling the listener. */
  async deleteAll() {
    await this.#hooks.deleteAll()
  }

  /** Sets the Durable Object's alarm unless one is set. `at` is in milliseconds since 1970. */
  async ensureAlarm(at) {
    if ((await this.#storage.getAlarm()) === null) await this.#storage.setAlarm(at)
  }
}

/** Runs `work`, a function of WebAssembly, in the transaction that `begin` starts, and rolls it back if `work` returns false. */
function rollBackUnless(work, hooks, begin) {
  let isRolledBack = false
  try {
    begin(() => {
      try {
        isRolledBack = !work()
      } catch (error) {
        hooks.isTrapped = true
        throw error
      }
      if (isRolledBack) throw new Error('Rolled back') // the runtime rolls back only after an exception
    })
  } catch (error) {
    if (!isRolledBack) throw error
  }
}

/** Returns the SQL API of a storage. Throws for a class without SQLite storage. */
function sqlOf(storage) {
  try {
    return storage.sql
  } catch (error) {
    throw new Error(`list the class under \`new_sqlite_classes\`: ${error.message}`)
  }
}

/** Returns whether a socket is open and neither side has begun to close it. */
function isOpen(ws) {
  return ws.readyState === WebSocket.READY_STATE_OPEN
}

/** Sends a message. Returns false if the socket has closed. One that cannot send is closed: its client would miss the message. */
export function send(ws, message) {
  try {
    ws.send(message)
    return true
  } catch {
    try {
      if (isOpen(ws)) interrupt(ws)
    } catch {} // not a socket
    return false
  }
}

/** Closes a socket. Returns false if it has closed already, or if the code cannot be sent. */
export function close(ws, code, reason) {
  try {
    ws.close(code, reason)
    return true
  } catch {
    return false
  }
}

/** Yields to other tasks for a number of milliseconds; 0 yields one turn of the event loop. */
export async function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}
