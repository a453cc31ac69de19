// Clients of a channel with presence over plain WebSockets, and what they have received.

import { PresenceMembers } from '../../npm/durable-event-iterator/src/client/index.ts'
import type { PresenceEvent } from '../../npm/durable-event-iterator/src/client/index.ts'
import type { Claims } from './client.ts'
import type { Binding, Journals } from './journals.ts'
import { BareSocket } from './socket.ts'

/** Returns the event in a message of a subscription. */
const eventOf = (message: string): any => JSON.parse(message).p?.d?.json

export interface JoinOptions extends Partial<Claims> {
  /** The connection id. Default: the name with `-id`. */
  id?: string | null
  /** Headers of `/subscribe`. */
  headers?: Record<string, string>
}

/** A client with a subscription. Its subject is its name. */
export class MemberSocket {
  readonly socket: BareSocket
  #next = 0
  readonly #members = new PresenceMembers()
  /** The number of messages that `members` has applied. */
  #applied = 0

  private constructor(socket: BareSocket) {
    this.socket = socket
  }

  static async connect(journals: Journals, binding: Binding, chn: string, name: string, { id = `${name}-id`, headers: _, ...claims }: JoinOptions = {}): Promise<MemberSocket> {
    const url = await journals.upgrade(binding, { chn, sub: name, rpc: ['setPresence', 'keep'], ...claims }, id ?? undefined)
    return new MemberSocket(await BareSocket.open(url))
  }

  /** Connects and subscribes. Resolves with the list. */
  static async join(journals: Journals, binding: Binding, chn: string, name: string, options: JoinOptions = {}): Promise<MemberSocket> {
    const member = await MemberSocket.connect(journals, binding, chn, name, options)
    member.subscribe(options.headers)
    await member.until(({ self }) => self !== undefined)
    return member
  }

  /** Returns the id of the call. */
  subscribe(headers: Record<string, string> = {}): string {
    const i = `s${this.#next++}`
    this.socket.send({ i, p: { u: '/subscribe', b: {}, h: headers } })
    return i
  }

  /** The presence events, from the message of this index on. */
  events(from = 0): PresenceEvent[] {
    return this.socket.messages.slice(from).map(eventOf).filter((event) => event?.type === 'presence')
  }

  /** All events, from the message of this index on. */
  all(from = 0): any[] {
    return this.socket.messages.slice(from).map(eventOf).filter((event) => event !== undefined)
  }

  /** The members after all events so far: the same object each time. */
  get members(): PresenceMembers {
    for (const event of this.events(this.#applied)) this.#members.apply(event)
    this.#applied = this.length
    return this.#members
  }

  get ids(): string[] {
    return [...this.members].map(({ id }) => id).sort()
  }

  /** The number of messages, for `events(from)`. */
  get length(): number {
    return this.socket.messages.length
  }

  async until(condition: (members: PresenceMembers) => boolean): Promise<void> {
    await this.socket.until(() => condition(this.members))
  }

  /** Resolves when there are exactly these members. */
  untilIds(...ids: string[]): Promise<void> {
    return this.until((members) => members.size === ids.length && ids.every((id) => members.has(id)))
  }

  /** Calls a procedure, and returns the payload of the response. */
  async call(name: string, input: unknown): Promise<any> {
    const i = `c${this.#next++}`
    const isAnswer = (message: string): boolean => message.startsWith(`{"i":"${i}"`)
    this.socket.send({ i, p: { u: '/call', b: { json: { path: [name], input } } } })
    await this.socket.until((messages) => messages.some(isAnswer))
    return JSON.parse(this.socket.messages.find(isAnswer)!).p
  }

  /** Closes the socket, and resolves when it has closed. */
  async close(): Promise<void> {
    this.socket.socket.close(1000)
    await this.socket.end()
  }
}
