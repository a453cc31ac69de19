// A client with flow control, on a plain WebSocket: it acknowledges and continues only when a test asks for it.

import { BareSocket } from './socket.ts'

/** The windows of the Durable Object, and the least that a client acknowledges at once, in characters. */
export const LIVE_WINDOW = 262_144
export const REPLAY_WINDOW = 1_048_576
export const ACKNOWLEDGED = 65_536

/** The maximum excess of a replay over its window, in characters: one step, and the frames of its events. */
export const STEP = 300_000

export const FLOW_HEADER = 'x-durable-event-flow'

export interface Item {
  id: string
  event: any
  /** The length of the message, in characters. */
  size: number
}

export class FlowReader {
  readonly socket: BareSocket
  /** All events, of all subscriptions. */
  readonly items: Item[] = []
  /** The meta of each `parked` item. */
  readonly parked: ({ id: string } | undefined)[] = []
  /** The headers of each response to `/subscribe`. */
  readonly responses: Record<string, string>[] = []
  #call = 0
  #read = 0

  private constructor(socket: BareSocket) {
    this.socket = socket
  }

  static async open(url: string): Promise<FlowReader> {
    return new FlowReader(await BareSocket.open(url))
  }

  get call(): string {
    return `s${this.#call}`
  }

  get cursor(): string | undefined {
    return this.items.at(-1)?.id ?? this.parked.at(-1)?.id
  }

  /** Subscribes after the last received event. */
  subscribe(headers: Record<string, string> = {}): void {
    this.#call += 1
    const cursor = this.cursor
    const h = { [FLOW_HEADER]: '1', ...(cursor === undefined ? {} : { 'last-event-id': cursor }), ...headers }
    this.socket.send({ i: this.call, p: { u: '/subscribe', b: {}, h } })
  }

  acknowledge(characters: unknown, call = this.call): void {
    this.socket.send(`{"i":"${call}","t":5,"p":${characters}}`)
  }

  /** Reads the messages that have arrived. */
  take(): void {
    for (; this.#read < this.socket.messages.length; this.#read++) {
      const text = this.socket.messages[this.#read]!
      const { i, p } = JSON.parse(text)
      if (!String(i).startsWith('s')) continue
      if (p.e === 'message') this.items.push({ id: p.m?.id, event: p.d.json, size: text.length })
      else if (p.e === 'parked') this.parked.push(p.m)
      else if (p.e === undefined && p.s === undefined) this.responses.push(p.h)
    }
  }

  /** Resolves when the condition is met. It is checked with every message. */
  async until(condition: (reader: this) => boolean): Promise<void> {
    await this.socket.until(() => {
      this.take()
      return condition(this)
    })
  }

  /** Resolves when `count` subscriptions have been parked. */
  untilParked(count = this.parked.length + 1): Promise<void> {
    return this.until(({ parked }) => parked.length >= count)
  }

  /** Subscribes again after each `parked` item, until the last event has this property `n`. */
  async catchUp(n: number): Promise<void> {
    for (let continued = this.parked.length; ; continued = this.parked.length) {
      await this.until(({ parked, items }) => parked.length > continued || items.at(-1)?.event.n === n)
      if (this.items.at(-1)?.event.n === n) return
      this.subscribe()
    }
  }

  /** The sum of the sizes of the received events from an index on, in characters. */
  size(from = 0): number {
    return this.items.slice(from).reduce((sum, { size }) => sum + size, 0)
  }

  get numbers(): number[] {
    return this.items.map(({ event }) => event.n)
  }
}

export const upTo = (last: number, first = 1): number[] => Array.from({ length: last - first + 1 }, (_, n) => n + first)
