import type { NestedClient } from '@orpc/client'

/** What JSON can say. */
export type JsonValue =
  | string
  | number
  | boolean
  | null
  | readonly JsonValue[]
  | { readonly [key: string]: JsonValue | undefined }

/** What a token can carry for the application: any JSON, or nothing. */
export type TokenAttachment = JsonValue | undefined

/** What the types of objects of both generations come to. One that extends either is good for both. */
export interface IteratorObject<TEventPayload extends object, TTokenAttachment> {
  /** Only for types: no object has it. */
  readonly '~durableEventIterator'?: {
    readonly eventPayload: TEventPayload
    readonly tokenAttachment: TTokenAttachment
  }
}

/**
 * The type of an object whose events can be iterated over.
 *
 * It says what the TypeScript side has to know of a Durable Object written in Rust (or of one that somebody else writes,
 * contract first): its events, what its tokens carry, and the procedures that clients may call over the socket. Each
 * method stands for one procedure, or for several below a name; it is never called, only its return type counts.
 *
 * @typeParam TEventPayload - The events.
 * @typeParam TTokenAttachment - The `att` of its tokens. When `undefined` is not part of it, `att` is required.
 *
 * @example
 * ```ts
 * import type { Client } from '@orpc/client'
 * import type { DurableEventIteratorObject } from 'durable-event-iterator'
 *
 * export interface ChatRoom extends DurableEventIteratorObject<{ message: string }, { userId: string }> {
 *   publishMessage(): Client<Record<never, never>, { message: string }, void, Error>
 * }
 * ```
 */
export interface DurableEventIteratorObject<
  TEventPayload extends object,
  TTokenAttachment extends TokenAttachment = TokenAttachment,
> extends IteratorObject<TEventPayload, TTokenAttachment> {}

/**
 * The same under the name that oRPC 1.9 and later have for it. One type of an object is good for a `DurableIterator` and a
 * `DurableEventIterator` alike.
 *
 * @typeParam TEventPayload - The events.
 * @typeParam TTokenAttachment - The `att` of its tokens. When `undefined` is not part of it, `att` is required.
 */
export interface DurableIteratorObject<TEventPayload extends object, TTokenAttachment = unknown>
  extends IteratorObject<TEventPayload, TTokenAttachment> {}

/** Any object whose events can be iterated over. */
export type AnyDurableEventIteratorObject = IteratorObject<object, unknown>

/** The events of an object. */
export type InferDurableEventIteratorObjectEvent<T extends AnyDurableEventIteratorObject> =
  T extends IteratorObject<infer TEventPayload, unknown> ? TEventPayload : never

/** What the tokens of an object carry. */
export type InferDurableEventIteratorObjectTokenAttachment<T extends AnyDurableEventIteratorObject> =
  T extends IteratorObject<object, infer TTokenAttachment> ? TTokenAttachment : never

/**
 * The names that `rpc` may allow: the methods of an object that return a client or a record of clients, less those that
 * an iterator has already (`next`, `return`, `throw`) and `then`, which would make it a promise.
 */
export type InferDurableEventIteratorObjectRPC<T extends AnyDurableEventIteratorObject> = Exclude<
  {
    [K in keyof T]-?: T[K] extends (...args: never[]) => NestedClient<Record<never, never>> ? K : never
  }[keyof T],
  keyof AsyncGenerator | 'then'
> &
  string

/** The same under the name that oRPC 1.9 and later have for it. */
export type InferDurableIteratorObjectRPC<T extends AnyDurableEventIteratorObject> = InferDurableEventIteratorObjectRPC<T>

/** `att` is required unless the object's type says that it may be missing. */
export type TokenAttachmentOption<TTokenAttachment> = undefined extends TTokenAttachment
  ? {
      /** What the object gets to know of this client. The client can read it: nothing secret belongs here. */
      att?: TTokenAttachment
    }
  : {
      /** What the object gets to know of this client. The client can read it: nothing secret belongs here. */
      att: TTokenAttachment
    }
