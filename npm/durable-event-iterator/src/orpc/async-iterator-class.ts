import type * as orpc from '@orpc/client'

/**
 * oRPC's `AsyncIteratorClass` in the application's version of oRPC. It is the result of a function, since `@orpc/client`
 * exports the class by name only since 1.8: 1.x has `mapEventIterator`, and 2.x has `streamToEventIterator`.
 */
export type AsyncIteratorClass<TEvent> = Exports extends { mapEventIterator: unknown }
  ? ReturnType<typeof map<TEvent, unknown, unknown, TEvent>>
  : ReturnType<typeof convert<TEvent>>

type Exports = typeof orpc

// Constants, since only their types can have type arguments. The fallbacks are for versions without the function.
declare const map: Exports extends { mapEventIterator: infer TFunction } ? TFunction : <_1, _2, _3, TEvent>() => TEvent
declare const convert: Exports extends { streamToEventIterator: infer TFunction } ? TFunction : <TEvent>() => TEvent
