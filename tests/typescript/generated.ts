// Generated from Rust types by `durable_event_iterator::typescript`. Do not edit.

import type { Client, ClientContext } from '@orpc/client'
import type { DurableEventIteratorObject } from 'durable-event-iterator'
import type { ChannelStub } from 'durable-event-iterator/durable-object'

export interface Types extends DurableEventIteratorObject<Change, Attachment> {
  wire(): Client<Record<never, never>, Wire, Wire, Error>
  shape(): Client<Record<never, never>, Shape, Shape, Error>
  adjacent(): Client<Record<never, never>, Adjacent, Adjacent, Error>
  untagged(): Client<Record<never, never>, Untagged, Untagged, Error>
  nothing(): Client<Record<never, never>, void, void, Error>
  optional(): Client<Record<never, never>, string | null | undefined, string | null, Error>
  any(): Client<Record<never, never>, unknown, unknown, Error>
  text(): Client<Record<never, never>, string, string, Error>
  page(): Client<Record<never, never>, Page<Person>, Page<Person>, Error>
  pages(): Client<Record<never, never>, { [key in string]: Page<number> }, { [key in string]: Page<number> }, Error>
  publish(): Client<Record<never, never>, Change, Published, Error>
  count(): Client<Record<never, never>, number, AsyncIteratorObject<number, void, void>, Error>
  people(): Client<Record<never, never>, void, AsyncIteratorObject<Person, void, void>, Error>
  items(): Client<Record<never, never>, void, AsyncIteratorObject<unknown, unknown, void>, Error>
  sum(): Client<Record<never, never>, AsyncIteratorObject<number, unknown, void>, number, Error>
  router(): {
    ping: Client<Record<never, never>, void, string, Error>
    'deep-er': {
      echo: Client<Record<never, never>, string, string, Error>
    }
    empty: {}
  }
  'needs-quotes'(): Client<Record<never, never>, void, void, Error>
}

/** The type of its stubs. */
export interface TypesStub extends ChannelStub<Change> {
  none(): Promise<void>
  add(arg1: number, arg2: number): Promise<number>
  find(arg1: string | null | undefined, arg2: Name, arg3?: number | null): Promise<Date>
  link(): Promise<Cloned<URL>>
  links(): Promise<Cloned<Links>>
  dates(arg1: Map<Date, Set<bigint>>): Promise<Map<Date, Set<bigint>>>
}

export interface UntypedChannel extends DurableEventIteratorObject<object> {}

/** The type of its stubs. */
export interface UntypedChannelStub extends ChannelStub<object> {}

export interface WithoutAttachment extends DurableEventIteratorObject<Change, undefined> {}

/** The type of its stubs. */
export interface WithoutAttachmentStub extends ChannelStub<Change> {}

export type Server<TContext extends ClientContext = Record<never, never>> = {
  find: Client<TContext, Person, Person, Error>
  admin: {
    erase: Client<TContext, Name, void, Error>
  }
}

export type Address = { street: string; position: [number, number] }

export type Adjacent = { kind: 'Number'; value: number } | { kind: 'Text'; value: string }

export type Attachment = { user: Name; groups: { [key in string]: number } }

export type Change =
  | { type: 'cleared' }
  | { type: 'added' } & Person
  | {
      type: 'has_moved'
      /** The new address. */
      newAddress: Address
    }

/** An output with a URL. */
export type Links = { links: Array<URL>; at: Date }

export type Name = string

export type Page<T> = { items: Array<T>; next: Page<T> | null }

/**
 * A person.
 *
 * With a second paragraph.
 */
export type Person = {
  /** The whole name. */
  fullName: string
  nickName: string | null
  maybeTwice: number | null
  'e-mail': string | null
  tags?: Array<string>
  isAdmin?: boolean
  street: string
  position: [number, number]
}

/** The result of a publish. In JavaScript, `stub.publish` returns it as `{ id: string, duplicate: boolean }`. */
export type Published = {
  /** The id of the event. For a duplicate, the id of the event that was published first. */
  id: string
  /**
   * Whether the event is a duplicate: an event with the same idempotency key was published before, and this event was
   * neither stored nor sent.
   */
  duplicate: boolean
}

export type Shape =
  | 'Empty'
  | { Circle: number }
  | { Line: [number, number] }
  | { Rectangle: { width: number; height: number } }

export type Untagged = number | string

/** The types of the wire. */
export type Wire = {
  at: Date
  big: bigint
  names: Set<string>
  people: Map<string, Person>
  link: URL
  pattern: RegExp
  file: Blob
  nothing: undefined
  any: unknown
  object: Record<string, unknown>
  number: number
  nan: number
  long: number
  custom: unknown
  named_custom: Person
  id: string
}

/** A value as a stub returns it: a URL is a string. */
type Cloned<T> = T extends URL
  ? string
  : T extends Date | RegExp
    ? T
    : T extends Map<infer K, infer V>
      ? Map<Cloned<K>, Cloned<V>>
      : T extends Set<infer Item>
        ? Set<Cloned<Item>>
        : T extends object
          ? { [K in keyof T]: Cloned<T[K]> }
          : T
