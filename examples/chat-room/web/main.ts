// The page of the chat room.

import { cut, mend } from './cable.ts'
import type { ClientKind, Person } from './generated.ts'
import { element, make } from './elements.ts'
import { Room } from './room.ts'
import type { RoomView } from './room.ts'
import { colourOf, initialOf, showAgain, showMessage, showNote, takeAway } from './timeline.ts'

/** The time after the last key press at which typing ends, in milliseconds. */
const TYPING_PAUSE = 3_000

const STATES = { connecting: 'Connecting', open: 'Connected', recovering: 'Reconnecting', paused: 'Paused', closed: 'Disconnected' }

/** A WebSocket is not mentioned, since it is the usual transport. */
const TRANSPORTS = { websocket: '', sse: ' over HTTP', 'long-polling': ' over HTTP, without a stream' }

const state = element('state', HTMLOutputElement)
const cutButton = element('cut', HTMLButtonElement)
const roomList = element('rooms', HTMLUListElement)
const roomTitle = element('room-title', HTMLHeadingElement)
const newRoom = element('new-room', HTMLInputElement)
const peopleList = element('people', HTMLUListElement)
const nameInput = element('name', HTMLInputElement)
const typingLine = element('typing', HTMLParagraphElement)
const text = element('text', HTMLInputElement)

const query = new URLSearchParams(location.search)
let me = query.get('name') ?? localStorage.getItem('name') ?? `Guest ${Math.floor(Math.random() * 900 + 100)}`
nameInput.value = me

const clients = element('clients', HTMLFieldSetElement)
const isClient = (kind: string | null): kind is ClientKind => kind === 'durableEventIterator' || kind === 'durableIterator'
let client = [query.get('client'), localStorage.getItem('client')].find(isClient) ?? 'durableEventIterator'
for (const choice of clients.querySelectorAll('input')) choice.checked = choice.value === client

/** The visited rooms, with their cursors and displayed messages. */
const rooms = new Map<string, { lastEventId?: string | undefined; shown: Node[] }>()
for (const name of ['lobby', 'rustaceans', 'coffee']) rooms.set(name, { shown: [] })

let room = enter(query.get('room') ?? 'lobby')

function enter(name: string): Room {
  const known = rooms.get(name) ?? { shown: [] }
  rooms.set(name, known)
  roomTitle.textContent = `# ${name}`
  document.title = `#${name} · Chat room`
  history.replaceState(null, '', `?${new URLSearchParams({ room: name, name: me, client })}`)
  showAgain(known.shown)
  showPeople([])
  const entered: Room = new Room(name, me, client, known.lastEventId, view(() => entered === room))
  showRooms(name)
  return entered
}

/** Leaves the room, and enters another one, or the same one with another name or client. */
function move(name: string): void {
  const known = rooms.get(room.name)
  if (known) Object.assign(known, { lastEventId: room.lastEventId, shown: takeAway() })
  room.leave()
  room = enter(name)
}

function view(isCurrent: () => boolean): RoomView {
  const ifCurrent =
    <Args extends unknown[]>(show: (...args: Args) => void) =>
    (...args: Args): void => {
      // The first callbacks come from within the constructor of the room.
      if (isCurrent()) show(...args)
    }
  return {
    message: ifCurrent((message) => showMessage(message, me)),
    people: ifCurrent(showPeople),
    state: ifCurrent((now, transport) => {
      state.dataset.state = now
      state.value = STATES[now] + (transport === undefined ? '' : TRANSPORTS[transport])
    }),
    recovered: ifCurrent((missed) =>
      showNote(`Reconnected · received ${missed} missed ${missed === 1 ? 'message' : 'messages'}`, 'good'),
    ),
    gap: ifCurrent(() => showNote('Some missed messages are no longer available: the room stores messages for five minutes', 'bad')),
    failed: ifCurrent((error) => showNote(`Cannot enter the room: ${reasonOf(error)}`, 'bad')),
  }
}

function showRooms(current: string): void {
  roomList.replaceChildren(
    ...[...rooms.keys()].map((name) => {
      const button = make('button', { type: 'button' }, make('span', { 'aria-hidden': 'true' }, '# '), name)
      if (name === current) button.setAttribute('aria-current', 'page')
      button.addEventListener('click', () => {
        if (name !== room.name) move(name)
        text.focus()
      })
      return make('li', {}, button)
    }),
  )
}

function showPeople(people: Person[]): void {
  peopleList.replaceChildren(
    ...people.map(({ name, status }) =>
      make(
        'li',
        {},
        make('span', { class: 'avatar', 'aria-hidden': 'true', 'data-colour': String(colourOf(name)) }, initialOf(name)),
        make('span', { class: 'name' }, name === me ? `${name} (you)` : name),
        ...(status === 'typing' ? [make('span', { class: 'dots', 'aria-label': 'typing' }, '•••')] : []),
      ),
    ),
  )
  const typing = people.filter(({ name, status }) => status === 'typing' && name !== me).map(({ name }) => name)
  typingLine.textContent =
    typing.length === 0 ? '' : `${new Intl.ListFormat('en').format(typing)} ${typing.length === 1 ? 'is' : 'are'} typing …`
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

let typingTimer: ReturnType<typeof setTimeout> | undefined
function stopTyping(): void {
  clearTimeout(typingTimer)
  typingTimer = undefined
}
text.addEventListener('input', () => {
  if (typingTimer === undefined) void room.status('typing')
  clearTimeout(typingTimer)
  typingTimer = setTimeout(() => {
    stopTyping()
    void room.status('here')
  }, TYPING_PAUSE)
})

element('send', HTMLFormElement).addEventListener('submit', (event) => {
  event.preventDefault()
  const message = text.value.trim()
  if (message === '') return
  text.value = ''
  stopTyping()
  const where = room
  // The room sends the message to all other clients. This page shows it when the call has succeeded.
  room.say(message).then(
    () => {
      if (room === where) showMessage({ message, name: me, at: new Date() }, me)
    },
    (error: unknown) => {
      showNote(`Not sent: ${reasonOf(error)}`, 'bad')
      // An unsent message returns to the input, after the text that is there.
      text.value = text.value === '' ? message : `${text.value} ${message}`
    },
  )
})

element('announce', HTMLButtonElement).addEventListener('click', () => {
  const message = text.value.trim() || `${me} says hello through the server.`
  text.value = ''
  stopTyping()
  room.announce(message).catch((error: unknown) => showNote(`Not announced: ${reasonOf(error)}`, 'bad'))
})

element('open-room', HTMLFormElement).addEventListener('submit', (event) => {
  event.preventDefault()
  const name = newRoom.value.trim()
  newRoom.value = ''
  if (name !== '' && name !== room.name) move(name)
  text.focus()
})

element('rename', HTMLFormElement).addEventListener('submit', (event) => {
  event.preventDefault()
  const name = nameInput.value.trim()
  if (name === '' || name === me) return
  me = name
  localStorage.setItem('name', me)
  move(room.name)
  text.focus()
})

clients.addEventListener('change', ({ target }) => {
  if (!(target instanceof HTMLInputElement) || !isClient(target.value)) return
  client = target.value
  localStorage.setItem('client', client)
  move(room.name)
})

cutButton.addEventListener('click', () => {
  if (cutButton.toggleAttribute('data-cut')) {
    cutButton.replaceChildren('Reconnect')
    showNote('Connection cut · missed messages arrive when you reconnect')
    cut()
  } else {
    cutButton.replaceChildren('Cut', make('span', { class: 'wide' }, ' the connection'))
    mend()
  }
})

addEventListener('pagehide', () => void room.status('leaving'))
