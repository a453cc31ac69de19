// The page: shows messages as they arrive, and sends messages.

import { createClient } from './client.ts'

const form = document.querySelector('form')!
const list = document.querySelector('ol')!
const status = document.querySelector('output')!

const client = createClient(location.origin, {
  onStateChange: (state) => {
    status.value = state
    status.dataset.state = state
  },
})

// Reconnects and resumes by itself.
const iterator = await client.onMessage()

form.addEventListener('submit', async (event) => {
  event.preventDefault()
  const message = new FormData(form).get('message') as string
  form.reset()
  await iterator.publishMessage({ message })
})

for await (const { message } of iterator) {
  const item = document.createElement('li')
  item.textContent = message
  list.prepend(item)
}
