// The base class of all classes here, over either of oRPC's classes. Its methods have the same names in both.

import { DurableEventIteratorObject, DurableIteratorObject, toDurableIteratorWebsocket } from 'durable-event-iterator/durable-object'
import type {
  Disconnected,
  DisconnectOptions,
  DurableEventIteratorObjectHandlerOptions,
  DurableEventIteratorObjectLimits,
  Published,
  PublishOptions,
  RevokeOptions,
  SessionClaims,
  Subscribed,
} from 'durable-event-iterator/durable-object'

export interface Env {
  SIGNING_KEY: string
  /** Turns on presence: the key of members, and their grace period. */
  PRESENCE?: 'connection' | 'subject'
  PRESENCE_GRACE_SECONDS?: string
}

function presenceOf({ PRESENCE: key, PRESENCE_GRACE_SECONDS: seconds }: Env): Pick<DurableEventIteratorObjectLimits, 'presence'> {
  return key === undefined ? {} : { presence: { key, ...(seconds !== undefined && { graceSeconds: Number(seconds) }) } }
}

/** The options of both of oRPC's classes, with one name each. */
export interface RoomOptions<TEvent extends object> extends DurableEventIteratorObjectLimits, DurableEventIteratorObjectHandlerOptions {
  retentionSeconds?: number
  onSubscribed?: (ws: WebSocket, lastEventId: string | undefined, subscribed: Subscribed<TEvent>) => unknown
  onClosed?: (ws: WebSocket) => unknown
}

/** The recipients of an event. */
export interface Recipients extends PublishOptions {
  targets?: WebSocket[]
  exclude?: WebSocket[]
}

/** A Durable Object over one of oRPC's classes. */
export interface Room<TEvent extends object> {
  ctx: DurableObjectState
  env: Env
  readonly lastEventId: string | undefined
  /** Publishes an event from inside of the Durable Object. */
  publishInside(event: TEvent, recipients?: Recipients): Published
  /** Publishes events from inside of the Durable Object, with options for each. */
  publishAllInside(events: TEvent[], options?: PublishOptions[]): Published[]
  sendLiveInside(event: TEvent): void
  keepAttachment(ws: WebSocket, attachment: object): void
  /** Returns the attachment of a socket, or undefined if there is none. */
  attachmentOf(ws: WebSocket): any
  claimsOf(ws: WebSocket): SessionClaims
  connectionOf(ws: WebSocket): string | undefined
  setPresence(ws: WebSocket, state: unknown): void
  /** Deletes expired events. */
  alarm(): void | Promise<void>
  publish(event: TEvent, options?: PublishOptions): Promise<Published>
  disconnect(options: DisconnectOptions): Promise<Disconnected>
  revoke(options: RevokeOptions): Promise<Disconnected>
}

/** The name of oRPC's class that all classes extend, set by `tests/support/workerd.ts`. */
declare const BASE_CLASS: 'DurableEventIteratorObject' | 'DurableIteratorObject'

export const isDurableIteratorObject: boolean = BASE_CLASS === 'DurableIteratorObject'

class DurableEventIteratorRoom<TEvent extends object> extends DurableEventIteratorObject<TEvent, any, object, Env> {
  constructor(ctx: DurableObjectState, env: Env, { retentionSeconds, ...options }: RoomOptions<TEvent> = {}) {
    super(ctx, env, { ...presenceOf(env), ...options, eventRetentionSeconds: retentionSeconds })
  }

  publishInside(event: TEvent, recipients: Recipients = {}): Published {
    const { targets, exclude = [], ...options } = recipients
    const sockets = (targets ?? this.ctx.getWebSockets()).filter((ws) => !exclude.includes(ws))
    return this.dei.websocketManager.publishEvent(sockets, event, { ...options, onlyToSockets: targets !== undefined })
  }

  publishAllInside(events: TEvent[], options?: PublishOptions[]): Published[] {
    return this.dei.websocketManager.publishEvents(this.ctx.getWebSockets(), events, options)
  }

  sendLiveInside(event: TEvent): void {
    this.dei.websocketManager.sendLive(this.ctx.getWebSockets(), event)
  }

  keepAttachment(ws: WebSocket, attachment: object): void {
    this.dei.websocketManager.serializeAttachment(ws, attachment)
  }

  attachmentOf(ws: WebSocket): unknown {
    const { 'dei:token:payload': _, ...attachment } = this.dei.websocketManager.deserializeAttachment(ws)
    return Object.keys(attachment).length === 0 ? undefined : attachment
  }

  claimsOf(ws: WebSocket): SessionClaims {
    return this.dei.websocketManager.deserializeAttachment(ws)['dei:token:payload']
  }

  connectionOf(ws: WebSocket): string | undefined {
    return toDurableIteratorWebsocket(ws)['~orpc'].deserializeId()
  }
}

class DurableIteratorRoom<TEvent extends object> extends DurableIteratorObject<TEvent, Env> {
  constructor(ctx: DurableObjectState, env: Env, { retentionSeconds, ...options }: RoomOptions<TEvent> = {}) {
    super(ctx, env, { ...presenceOf(env), ...options, signingKey: env.SIGNING_KEY, resumeRetentionSeconds: retentionSeconds })
  }

  publishInside(event: TEvent, recipients?: Recipients): Published {
    return this.publishEvent(event, recipients)
  }

  publishAllInside(events: TEvent[], options?: PublishOptions[]): Published[] {
    return this.publishEvents(events, options)
  }

  sendLiveInside(): void {
    throw new Error('oRPC’s DurableIteratorObject has no live events')
  }

  keepAttachment(ws: WebSocket, attachment: object): void {
    ws.serializeAttachment(attachment)
  }

  attachmentOf(ws: WebSocket): unknown {
    return ws.deserializeAttachment() ?? undefined
  }

  claimsOf(ws: WebSocket): SessionClaims {
    return toDurableIteratorWebsocket(ws)['~orpc'].deserializeTokenPayload()
  }

  connectionOf(ws: WebSocket): string | undefined {
    return toDurableIteratorWebsocket(ws)['~orpc'].deserializeId()
  }
}

type RoomClass = new <TEvent extends object>(ctx: DurableObjectState, env: Env, options?: RoomOptions<TEvent>) => Room<TEvent>

export const Room = (isDurableIteratorObject ? DurableIteratorRoom : DurableEventIteratorRoom) as unknown as RoomClass
