// The page: shows messages as they arrive, and sends messages.

import { getEventMeta } from '@orpc/client'

import { createClient } from './client.ts'

/** The delay before the page requests a token again, in milliseconds. */
const RETRY_DELAY = 2_000

/** The maximum number of messages on the page. */
const LIMIT = 500

const form = document.querySelector('form')!
const input = document.querySelector('input')!
const button = document.querySelector('button')!
const problem = document.querySelector('[role=alert]')!
const list = document.querySelector('ol')!
const status = document.querySelector('output')!

const STATES = { connecting: 'Connecting', open: 'Connected', recovering: 'Reconnecting', paused: 'Catching up', closed: 'Disconnected' }

function show(state: keyof typeof STATES, text = STATES[state]): void {
  // The text is announced: it is set only when it changes.
  if (status.value !== text) status.value = text
  status.dataset.state = state
}

const client = createClient(location.origin, { onStateChange: (state) => show(state) })

// The first call requests a token. The iterator then reconnects and resumes by itself.
let connecting = client.onMessage()

form.addEventListener('submit', async (event) => {
  event.preventDefault()
  input.readOnly = button.disabled = true
  try {
    const iterator = await connecting
    await iterator.publishMessage({ message: input.value })
    form.reset()
    problem.textContent = ''
  } catch (error) {
    // The text stays in the field, to be sent again.
    problem.textContent = `Not sent: ${reasonOf(error)}`
  } finally {
    input.readOnly = button.disabled = false
  }
})

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

let lastEventId: string | undefined
for (;;) {
  try {
    for await (const event of await connecting) {
      lastEventId = getEventMeta(event)?.id ?? lastEventId
      const item = document.createElement('li')
      item.textContent = event.message
      list.prepend(item)
      if (list.childElementCount > LIMIT) list.lastElementChild?.remove()
    }
  } catch (error) {
    // The server is not reachable, or has rejected the page.
    show('closed', `Cannot connect: ${reasonOf(error)}`)
  }
  await new Promise((resolve) => setTimeout(resolve, RETRY_DELAY))
  connecting = client.onMessage(undefined, { lastEventId })
}
