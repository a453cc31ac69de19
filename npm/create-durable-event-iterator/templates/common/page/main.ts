// The page: shows messages as they arrive, and sends messages.

import { createClient } from './client.ts'

const form = document.querySelector('form')!
const input = document.querySelector('input')!
const button = document.querySelector('button')!
const problem = document.querySelector('[role=alert]')!
const list = document.querySelector('ol')!
const status = document.querySelector('output')!

const STATES = { connecting: 'Connecting', open: 'Connected', recovering: 'Reconnecting', paused: 'Catching up', closed: 'Disconnected' }

const client = createClient(location.origin, {
  onStateChange: (state) => {
    status.value = STATES[state]
    status.dataset.state = state
  },
})

// Reconnects and resumes by itself.
const connecting = client.onMessage()

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
    problem.textContent = `Not sent: ${error instanceof Error ? error.message : error}`
  } finally {
    input.readOnly = button.disabled = false
  }
})

for await (const { message } of await connecting) {
  const item = document.createElement('li')
  item.textContent = message
  list.prepend(item)
}
