// A Worker in front of the measured Durable Object: the upgrade of the npm package.

import { upgradeDurableIteratorRequest } from 'durable-event-iterator/stub'

export default {
  fetch: (request, env) => upgradeDurableIteratorRequest(request, { signingKey: env.SIGNING_KEY, namespace: env.ROOM }),
}
