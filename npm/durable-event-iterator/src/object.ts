/** A value that JSON can represent. */
export type JsonValue =
  | string
  | number
  | boolean
  | null
  | readonly JsonValue[]
  | { readonly [key: string]: JsonValue | undefined }

/** The attachment of a token: any JSON value, or `undefined` for no attachment. */
export type TokenAttachment = JsonValue | undefined

/**
 * The common base of `DurableEventIteratorObject` and `DurableIteratorObject`. A type that extends one of them works as both.
 */
export interface IteratorObject<TEventPayload extends object, TTokenAttachment> {
  /** Exists only in types: no Durable Object has this property. */
  readonly '~durableEventIterator'?: {
    readonly eventPayload: TEventPayload
    readonly tokenAttachment: TTokenAttachment
  }
}

/**
 * The type of a Durable Object for TypeScript: its events, its token attachment, and the procedures that clients may call
 * over the socket.
 *
 * Declare an interface that extends this one. Each method stands for one procedure, or for several procedures under one name.
 * The methods are never called: only their return types are used.
 *
 * @typeParam TEventPayload - The events: objects or arrays.
 * @typeParam TTokenAttachment - The token attachment (the claim `att`). If the type does not include `undefined`, `att` is
 * required.
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
 * The type of a Durable Object for TypeScript, under the name of oRPC 1.9 and later. See {@link DurableEventIteratorObject}.
 *
 * An interface that extends either of the two works for `DurableIterator` and `DurableEventIterator`.
 *
 * @typeParam TEventPayload - The events: objects or arrays.
 * @typeParam TTokenAttachment - The token attachment (the claim `att`). If the type does not include `undefined`, `att` is
 * required.
 */
export interface DurableIteratorObject<TEventPayload extends object, TTokenAttachment = unknown>
  extends IteratorObject<TEventPayload, TTokenAttachment> {}

/** The type of any Durable Object, for generic code. */
export type AnyDurableEventIteratorObject = IteratorObject<object, unknown>

/** The type of the events of a Durable Object. */
export type InferDurableEventIteratorObjectEvent<T extends AnyDurableEventIteratorObject> =
  T extends IteratorObject<infer TEventPayload, unknown> ? TEventPayload : never

/** The type of the token attachment of a Durable Object. */
export type InferDurableEventIteratorObjectTokenAttachment<T extends AnyDurableEventIteratorObject> =
  T extends IteratorObject<object, infer TTokenAttachment> ? TTokenAttachment : never

/**
 * The names that `rpc` accepts: the methods of the interface that return a client or a record of clients.
 *
 * Excluded are the names of the iterator's own methods (such as `next`, `return` and `throw`), and `then`, which would make the
 * iterator a promise.
 */
export type InferDurableEventIteratorObjectRPC<T extends AnyDurableEventIteratorObject> = Exclude<
  {
    // The brand of the class `DurableObject` is a property of the type `never`, which extends every type.
    [K in keyof T]-?: [T[K]] extends [never] ? never : T[K] extends (...args: never[]) => ProcedureClient ? K : never
  }[keyof T],
  keyof AsyncGenerator | 'then'
> &
  string

/**
 * The client of a procedure, or of several procedures under one name. oRPC's clients of all versions have this form, unless they
 * require a context.
 */
type ProcedureClient =
  | ((input: never, options?: Record<never, never>) => Promise<unknown>)
  | { [name: string]: ProcedureClient }

/** Equal to {@link InferDurableEventIteratorObjectRPC}, under the name of oRPC 1.9 and later. */
export type InferDurableIteratorObjectRPC<T extends AnyDurableEventIteratorObject> = InferDurableEventIteratorObjectRPC<T>

/** The option `att`: required, unless the type of the attachment includes `undefined`. */
export type TokenAttachmentOption<TTokenAttachment> = undefined extends TTokenAttachment
  ? {
      /**
       * The token attachment: data about this client for the Durable Object. The client can read it, so it must not contain
       * secrets.
       */
      att?: TTokenAttachment
    }
  : {
      /**
       * The token attachment: data about this client for the Durable Object. The client can read it, so it must not contain
       * secrets.
       */
      att: TTokenAttachment
    }
