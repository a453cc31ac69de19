// A Durable Object whose events contain every type of the wire, and a custom one.

import type { DurableEventIteratorObjectHandlerOptions } from 'durable-event-iterator/durable-object'

import { Room } from './room.ts'
import type { Env } from './room.ts'

/** A custom type with the number 21. */
export class User {
  readonly name: string
  readonly age: number

  constructor(name: string, age: number) {
    this.name = name
    this.age = age
  }
}

export const customJsonSerializers: NonNullable<DurableEventIteratorObjectHandlerOptions['customJsonSerializers']> = [
  {
    type: 21,
    condition: (value) => value instanceof User,
    serialize: ({ name, age }: User) => ({ name, age }),
    deserialize: ({ name, age }: User) => new User(name, age),
  },
]

export class TypesObject extends Room<object> {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, { customJsonSerializers })
  }

  /** Publishes an event that contains the custom type. */
  publishUser(): void {
    this.publishInside({ user: new User('Ann', 30), at: new Date(0) })
  }
}
