// Reads a channel with Node.js alone, and continues after a lost connection.
//
// Usage: reader.mjs <URL of the events> <token> <number of events> stream|poll
// Prints each event as a line: its id and its JSON.

const [, , url, token, total, mode] = process.argv
const authorization = `Bearer ${token}`

/** Yields the id and the JSON of each server-sent event after `lastId`. */
async function* stream(lastId) {
  const headers = { authorization, accept: 'text/event-stream', ...(lastId !== undefined && { 'last-event-id': lastId }) }
  const response = await fetch(url, { headers })
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`)
  let text = ''
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    const events = (text + chunk).split('\n\n')
    text = events.pop()
    for (const event of events) {
      const field = (name) => event.split('\n').find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2)
      if (field('event') === 'message') yield [field('id'), JSON.parse(field('data')).json]
    }
  }
}

/** Yields the id and the JSON of each event of one page, which waits for events. The last item has the cursor of the next page. */
async function* poll(after) {
  const query = new URLSearchParams({ wait: '20', ...(after !== undefined && { after }) })
  const page = await (await fetch(`${url}?${query}`, { headers: { authorization } })).json()
  for (const { id, json } of page.events) yield [id, json]
  yield [page.next ?? undefined]
}

let cursor
let read = 0
while (read < Number(total)) {
  try {
    for await (const [id, event] of (mode === 'stream' ? stream : poll)(cursor)) {
      cursor = id
      if (event === undefined) continue
      console.log(`${id} ${JSON.stringify(event)}`)
      if (++read === Number(total)) break
    }
  } catch {} // the connection was lost
  await new Promise((resolve) => setTimeout(resolve, 50))
}
process.exit(0)
