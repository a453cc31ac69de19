import type { ChatRoom } from './chat-room.ts'

/** The bindings in `wrangler.jsonc`, and the secrets in `.dev.vars`. */
export interface Env {
  SIGNING_KEY: string
  CHAT_ROOM: DurableObjectNamespace<ChatRoom>
}
