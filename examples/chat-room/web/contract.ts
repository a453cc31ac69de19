// The procedures of the oRPC server, as the page calls them. `generated.ts` has their types, and those of the Durable Object.

import type { Client } from '@orpc/client'
import type {
  ClientDurableEventIterator,
  ClientDurableIterator,
  DurableEventIteratorLinkPluginContext,
  DurableIteratorLinkPluginContext,
} from 'durable-event-iterator/orpc-v1'

import type { ChatRoom, Entrance, Server as Generated, Status } from './generated.ts'

/** The context of a call. Each plugin reads its own part. */
export interface Context extends DurableEventIteratorLinkPluginContext, DurableIteratorLinkPluginContext {}

/** The Durable Object, with the procedure that the library adds for presence. */
interface Room extends ChatRoom {
  setPresence(): Client<Record<never, never>, Status, void, Error>
}

type Allowed = 'publishMessage' | 'setPresence'

type Iterator = ClientDurableEventIterator<Room, Allowed> | ClientDurableIterator<Room, Allowed>

/** The procedures in `src/server.rs`. The link plugins convert the token that `onMessage` returns to an iterator. */
export type Server = Omit<Generated<Context>, 'onMessage'> & {
  onMessage: Client<Context, Entrance, Iterator, Error>
}
