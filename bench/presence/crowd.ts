// Many members in one process, which is controlled by the messages of its parent.

import { createHmac } from 'node:crypto'

import { SIGNING_KEY } from '../../tests/support/client.ts'
import { MemberSocket } from './socket.ts'

/** The messages of the parent. */
export type Request =
  /** Opens members at a rate per second. The response arrives when all have subscribed. */
  | { type: 'open'; url: string; channel: string; first: number; count: number; rate: number }
  /** From now on, members that lose their connection wait for up to this time before they reconnect, in milliseconds. */
  | { type: 'return within'; milliseconds: number }
  /** The first members do not reconnect. */
  | { type: 'give up'; count: number }
  /** The first members end their connections at once. */
  | { type: 'leave'; count: number }
  /** The response arrives when all members have a subscription. */
  | { type: 'await' }
  /** Returns what was recorded since the last `mark`. */
  | { type: 'report' }
  /** Forgets all records. */
  | { type: 'mark' }
  | { type: 'close' }

export type Response = { type: 'done' } | { type: 'report'; records: Records }

export interface Records {
  /** The time at which each member started its last connection, and had its response, in milliseconds since 1970. */
  asked: [id: string, at: number][]
  joined: [id: string, at: number][]
  attempts: number
  messages: number
  bytes: number
}

/** Returns the subject of a member, which is its member id. */
export const subjectOf = (n: number): string => `member-${String(n).padStart(5, '0')}`

/** The wait after a connection that could not be opened, in milliseconds. */
const RETRY = 500

/** Returns the URL of the upgrade of a member. */
export function urlOf(url: string, channel: string, subject: string): string {
  const issued = Math.floor(Date.now() / 1_000)
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const head = `${part({ alg: 'HS256' })}.${part({ chn: channel, sub: subject, rpc: [], iat: issued, exp: issued + 86_400 })}`
  const token = `${head}.${createHmac('sha256', SIGNING_KEY).update(head).digest('base64url')}`
  const address = new URL(url)
  address.searchParams.set('token', token)
  return address.href
}

interface Member {
  subject: string
  socket: MemberSocket | undefined
  isSubscribed: boolean
  /** Whether it does not reconnect. */
  hasGivenUp: boolean
}

class Crowd {
  #members: Member[] = []
  #url = ''
  #channel = ''
  #returnWithin = 0
  #asked = new Map<string, number>()
  #joined = new Map<string, number>()
  #attempts = 0
  /** What closed sockets have received, and what all had received at the last mark. */
  #closed = { messages: 0, bytes: 0 }
  #marked = { messages: 0, bytes: 0 }
  #awaited: (() => void) | undefined

  async open({ url, channel, first, count, rate }: Extract<Request, { type: 'open' }>): Promise<void> {
    ;[this.#url, this.#channel] = [url, channel]
    const startedAt = performance.now()
    const end = this.#members.length + count
    while (this.#members.length < end) {
      const due = Math.min(count, Math.floor(((performance.now() - startedAt) / 1_000) * rate) + 1)
      while (this.#members.length < end - count + due) {
        const n = first + this.#members.length - (end - count)
        const member: Member = { subject: subjectOf(n), socket: undefined, isSubscribed: false, hasGivenUp: false }
        this.#members.push(member)
        this.#connect(member)
      }
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
    await this.joined()
  }

  #connect(member: Member): void {
    if (member.hasGivenUp) return
    this.#attempts++
    this.#asked.set(member.subject, Date.now())
    const socket = new MemberSocket({
      url: urlOf(this.#url, this.#channel, member.subject),
      isRead: false,
      onMessage: (text) => {
        // Only the first message is read.
        if (text === undefined) return
        if (!text.startsWith('{"i":"0","p":')) throw new Error(`the response to the subscription is ${text}`)
        member.isSubscribed = true
        this.#joined.set(member.subject, Date.now())
        if (this.#isComplete()) this.#awaited?.()
      },
      onClose: () => {
        this.#count(socket)
        const delay = member.isSubscribed ? Math.random() * this.#returnWithin : RETRY
        member.isSubscribed = false
        member.socket = undefined
        setTimeout(() => this.#connect(member), delay)
      },
    })
    member.socket = socket
  }

  #missing = 0
  #isComplete(): boolean {
    return this.#awaited !== undefined && --this.#missing <= 0
  }

  #count({ messages, bytes }: MemberSocket): void {
    this.#closed.messages += messages
    this.#closed.bytes += bytes
  }

  /** Resolves when all members have a subscription. */
  async joined(): Promise<void> {
    const wanted = (): Member[] => this.#members.filter(({ isSubscribed, hasGivenUp }) => !isSubscribed && !hasGivenUp)
    while ((this.#missing = wanted().length) > 0) await new Promise<void>((resolve) => (this.#awaited = resolve))
    this.#awaited = undefined
  }

  returnWithin(milliseconds: number): void {
    this.#returnWithin = milliseconds
  }

  giveUp(count: number): void {
    for (const member of this.#members.slice(0, count)) member.hasGivenUp = true
    // They are no members any more once they have lost their connections.
    this.#members = [...this.#members.slice(count), ...this.#members.slice(0, count)]
  }

  leave(count: number): void {
    for (const { socket } of this.#members.splice(0, count)) {
      if (socket === undefined) continue
      this.#count(socket)
      socket.vanish()
    }
  }

  get #received(): { messages: number; bytes: number } {
    let { messages, bytes } = this.#closed
    for (const { socket } of this.#members) {
      messages += socket?.messages ?? 0
      bytes += socket?.bytes ?? 0
    }
    return { messages, bytes }
  }

  mark(): void {
    this.#marked = this.#received
    this.#attempts = 0
    this.#asked.clear()
    this.#joined.clear()
  }

  get records(): Records {
    const { messages, bytes } = this.#received
    return {
      asked: [...this.#asked],
      joined: [...this.#joined],
      attempts: this.#attempts,
      messages: messages - this.#marked.messages,
      bytes: bytes - this.#marked.bytes,
    }
  }

  close(): void {
    for (const member of this.#members) member.hasGivenUp = true
    this.leave(this.#members.length)
  }
}

/** Serves the requests of the parent process, and ends with it. */
export function serve(): void {
  const crowd = new Crowd()
  const respond = (response: Response): void => {
    process.send?.(response)
  }
  process.on('disconnect', () => process.exit())
  process.on('message', async (request: Request) => {
    if (request.type === 'open') await crowd.open(request)
    else if (request.type === 'return within') crowd.returnWithin(request.milliseconds)
    else if (request.type === 'give up') crowd.giveUp(request.count)
    else if (request.type === 'leave') crowd.leave(request.count)
    else if (request.type === 'await') await crowd.joined()
    else if (request.type === 'mark') crowd.mark()
    else if (request.type === 'close') crowd.close()
    else return respond({ type: 'report', records: crowd.records })
    respond({ type: 'done' })
  })
}
