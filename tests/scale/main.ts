// `npm run scale`: 10,000 sockets on one Durable Object, or another number.

import { parseArgs } from 'node:util'

import { scale } from './run.ts'

const { values } = parseArgs({
  options: {
    sockets: { type: 'string', default: '10000' },
    /** Sockets with compression, as browsers offer it. */
    deflate: { type: 'boolean', default: false },
    /** The number of sockets from within the runtime. */
    inside: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
})
const sockets = Number(values.sockets)
if (!Number.isSafeInteger(sockets) || sockets < 1) {
  console.error(`--sockets is a whole number from 1 on, not ${values.sockets}`)
  process.exit(2)
}
const inside = values.inside === undefined ? undefined : Number(values.inside)
if (inside !== undefined && !(Number.isSafeInteger(inside) && inside >= 0 && inside <= sockets)) {
  console.error(`--inside is a whole number up to that of --sockets, not ${values.inside}`)
  process.exit(2)
}
const figures = await scale(sockets, {
  perMessageDeflate: values.deflate,
  onProgress: (line) => values.json || console.log(line),
  ...(inside === undefined ? {} : { inside }),
})
if (values.json) console.log(JSON.stringify(figures))
else for (const [name, figure] of Object.entries(figures)) console.log(`${name.padEnd(16)} ${Math.round(figure)}`)
