// Passes the values that the crate accepts to real clients of five oRPC versions: `npm run fuzz -- --target clients`.
// Requires a Node.js that runs TypeScript, such as the one in node_modules.

import { FiveClients, checkCandidates } from '../tests/golden/five-clients.ts'
import { startServer } from '../tests/golden/server.ts'

/** @returns {Promise<number>} the exit status: 1 if a client throws, or decodes a value differently from the others */
export async function fuzzClients({ runs, seconds, seed }) {
  const server = startServer()
  const until = seconds > 0 ? Date.now() + seconds * 1_000 : Number.POSITIVE_INFINITY
  const startedAt = Date.now()
  try {
    const { accepted, rejected } = await checkCandidates(server, await FiveClients.start(), { seed, runs, until })
    const rate = Math.round((accepted + rejected) / ((Date.now() - startedAt) / 1_000))
    console.log(`clients: nothing found; seed ${seed}, ${accepted} accepted, ${rejected} rejected, ${rate} a second`)
    return 0
  } catch (error) {
    console.error(`clients: FAILED\n${error.message}`)
    return 1
  } finally {
    server.close()
  }
}
