// The page: shows messages as they arrive, and publishes messages. It takes its token and the publish key from the address that
// `npm run dev` prints. In an application, your server issues the token, and only your server has the publish key.

import { subscribe } from 'durable-event-iterator/client'
import { httpFallback } from 'durable-event-iterator/http'

const form = document.querySelector('form')!
const input = document.querySelector('input')!
const button = document.querySelector('button')!
const problem = document.querySelector('[role=alert]')!
const list = document.querySelector('ol')!
const status = document.querySelector('output')!

const STATES = { connecting: 'Connecting', open: 'Connected', recovering: 'Reconnecting', paused: 'Catching up', closed: 'Disconnected' }

/** The maximum number of messages on the page. */
const LIMIT = 500

// Another address that differs only after `#` would not load the page again.
addEventListener('hashchange', () => location.reload())

const { token, publishKey } = Object.fromEntries(new URLSearchParams(location.hash.slice(1)))
if (token === undefined) {
  status.value = 'open the address that `npm run dev` prints'
  throw new Error('the address contains no token')
}

form.addEventListener('submit', async (event) => {
  event.preventDefault()
  input.readOnly = button.disabled = true
  try {
    const response = await fetch('/channels/some-room/events', {
      method: 'POST',
      headers: { authorization: `Bearer ${publishKey}` },
      body: JSON.stringify({ message: input.value }),
    })
    if (!response.ok) throw new Error(`the server responds with status ${response.status}`)
    form.reset()
    problem.textContent = ''
  } catch (error) {
    // The text stays in the field, to be sent again.
    problem.textContent = `Not sent: ${error instanceof Error ? error.message : error}`
  } finally {
    input.readOnly = button.disabled = false
  }
})

// Reconnects and resumes by itself. In an application, `token` is a function that fetches a token from your server.
const messages = subscribe<{ message: string }>({
  url: '/',
  token,
  fallback: httpFallback({ url: '/channels' }),
  onStateChange: (state) => {
    status.value = STATES[state]
    status.dataset.state = state
  },
})

try {
  for await (const { message } of messages) {
    const item = document.createElement('li')
    item.textContent = message
    list.prepend(item)
    if (list.childElementCount > LIMIT) list.lastElementChild?.remove()
  }
} catch (error) {
  // The end of the token ends the subscription, unlike lost connections.
  form.inert = true
  problem.textContent =
    'The token in the address of this page is not valid: it expires after one hour. Run `node src/link.ts`, and open the address that it prints.'
  console.error(error)
}
