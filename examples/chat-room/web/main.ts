// The page of the chat room.

import { cut, isWhole, mend } from './cable.ts'
import type { ClientKind, PresenceMember, Status } from './generated.ts'
import { element, make } from './elements.ts'
import { Outbox } from './outbox.ts'
import { reasonOf, Room } from './room.ts'
import type { People, RoomView } from './room.ts'
import { onOtherTab } from './tabs.ts'
import { colourOf, initialOf, showAgain, showMessage, showNote, showOutgoing, showSent, takeAway } from './timeline.ts'

/** The time after the last key press at which typing ends, in milliseconds. */
const TYPING_PAUSE = 3_000

const STATES = { connecting: 'Connecting', open: 'Connected', recovering: 'Reconnecting', paused: 'Catching up', closed: 'Disconnected' }

/** A WebSocket is not mentioned, since it is the usual transport. */
const TRANSPORTS = { websocket: '', sse: ' over HTTP', 'long-polling': ' over HTTP, by polling' }

const state = element('state', HTMLOutputElement)
const cutButton = element('cut', HTMLButtonElement)
const roomList = element('rooms', HTMLUListElement)
const roomTitle = element('room-title', HTMLHeadingElement)
const newRoom = element('new-room', HTMLInputElement)
const peopleList = element('people', HTMLUListElement)
const nameInput = element('name', HTMLInputElement)
const otherTab = element('other-tab', HTMLParagraphElement)
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

let connection: Parameters<RoomView['state']> = ['connecting', undefined]
let people: readonly PresenceMember<Status>[] = []
const outbox = new Outbox(() => {
  showUnsent()
  showRooms()
})

/** Rooms that the page has left, with messages that are not sent yet: by the name of the room and that of the user. */
const leaving = new Map<string, Room>()
const leavingKey = (name: string, author: string): string => JSON.stringify([name, author])

let room = enter(query.get('room') ?? 'lobby')

function enter(name: string): Room {
  const known = rooms.get(name) ?? { shown: [] }
  rooms.set(name, known)
  roomTitle.textContent = `# ${name}`
  document.title = `#${name} · Chat room`
  history.replaceState(null, '', `?${new URLSearchParams({ room: name, name: me, client })}`)
  showAgain(known.shown)
  showPeople([])
  text.value = sessionStorage.getItem(draftKey(name)) ?? ''
  leaving.get(leavingKey(name, me))?.close()
  const entered: Room = new Room(name, me, client, known.lastEventId, outbox, view(() => entered === room))
  return entered
}

/** Leaves the room, and enters another one, or the same one with another name or client. */
function move(name: string): void {
  stopTyping()
  const known = rooms.get(room.name)
  if (known) Object.assign(known, { lastEventId: room.lastEventId, shown: takeAway() })
  leave(room)
  room = enter(name)
  showEntered()
}

function leave(left: Room): void {
  leaving.set(leavingKey(left.name, left.me), left)
  left.leave()
}

/** Sends the waiting messages. Those to other rooms, and those of the user's previous names, are sent without showing a room. */
function sendWaiting(): void {
  for (const name of outbox.rooms) {
    for (const author of outbox.authors(name)) {
      const sender = name === room.name && author === me ? room : leaving.get(leavingKey(name, author))
      if (sender?.isClosed === false) void sender.sendWaiting()
      else leave(new Room(name, author, client, undefined, outbox, view(() => false)))
    }
  }
}

function showEntered(): void {
  showState('connecting', undefined)
  showRooms()
}

/** The key of the text in the input, in the storage of the tab. */
function draftKey(name: string): string {
  return `draft ${name}`
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
    sent: ifCurrent(showSent),
    people: ifCurrent(showPeople),
    state: ifCurrent(showState),
    recovered: ifCurrent((missed) =>
      showNote(`Reconnected · received ${missed} missed ${missed === 1 ? 'message' : 'messages'}`, 'good'),
    ),
    gap: ifCurrent(() => showNote('Some missed messages are no longer available: the room stores messages for five minutes', 'bad')),
    failed: ifCurrent((error) => showNote(`Cannot enter the room: ${reasonOf(error)}`, 'bad')),
  }
}

function showState(...now: typeof connection): void {
  connection = now
  const [name, transport] = now
  // A browser without a network may still reach a server on the same machine.
  const isOffline = !isWhole() || (!navigator.onLine && ['connecting', 'recovering'].includes(name))
  state.dataset.state = isOffline ? 'offline' : name
  state.value = isOffline ? 'Offline' : STATES[name] + (transport === undefined ? '' : TRANSPORTS[transport])
  showPeople(people)
  showUnsent()
}

/** Shows the messages to the current room that are not confirmed yet. */
function showUnsent(): void {
  showOutgoing(outbox.of(room.name), room.isConnected, {
    retry: (id) => {
      outbox.retry(id)
      sendWaiting()
      text.focus()
    },
    remove: (id) => {
      outbox.remove(id)
      text.focus()
    },
  })
}

function showRooms(): void {
  const unsent = (name: string): number => (name === room.name ? 0 : outbox.of(name).length)
  const shown = JSON.stringify([room.name, ...[...rooms.keys()].map((name) => [name, unsent(name)])])
  // New elements would take the focus from the old ones.
  if (shown === roomList.dataset.shown) return
  roomList.dataset.shown = shown
  roomList.replaceChildren(
    ...[...rooms.keys()].map((name) => {
      const button = make('button', { type: 'button' }, make('span', { 'aria-hidden': 'true' }, '# '), name)
      if (unsent(name) > 0) button.append(make('small', {}, ` ${unsent(name)} not sent`))
      if (name === room.name) button.setAttribute('aria-current', 'page')
      button.addEventListener('click', () => {
        if (name !== room.name) move(name)
        text.focus()
      })
      return make('li', {}, button)
    }),
  )
  scrollToRoom()
}

/** On a narrow screen, the list of rooms is a row that scrolls. `scrollIntoView` would also change where the Tab key continues. */
function scrollToRoom(): void {
  const row = roomList.parentElement
  const current = roomList.querySelector('[aria-current]')?.getBoundingClientRect()
  if (row === null || current === undefined) return
  const { left, right } = row.getBoundingClientRect()
  const hidden = Math.max(current.right - right, 0)
  row.scrollLeft += Math.ceil(hidden + Math.min(current.left - hidden - left, 0))
}

function showPeople(now: People): void {
  people = [...now].sort((one, other) => one.id.localeCompare(other.id))
  const names = people.map(({ id }) => id)
  // A page that is offline or behind does not know who is typing.
  const isCurrent = state.dataset.state === 'open'
  const typing = people.filter((person) => isCurrent && person.state === 'typing').map(({ id }) => id)
  peopleList.replaceChildren(
    ...names.map((name) =>
      make(
        'li',
        {},
        make('span', { class: 'avatar', 'aria-hidden': 'true', 'data-colour': String(colourOf(name)) }, initialOf(name)),
        make('span', { class: 'name' }, name === me ? `${name} (you)` : name),
        ...(typing.includes(name) ? [make('span', { class: 'dots', role: 'img', 'aria-label': 'typing' }, '•••')] : []),
      ),
    ),
  )
  const others = typing.filter((name) => name !== me)
  const line = others.length === 0 ? '' : `${new Intl.ListFormat('en').format(others)} ${others.length === 1 ? 'is' : 'are'} typing …`
  // The text is announced: it is set only when it changes.
  if (typingLine.textContent !== line) typingLine.textContent = line
}

let typingTimer: ReturnType<typeof setTimeout> | undefined
function stopTyping(): void {
  clearTimeout(typingTimer)
  room.status = 'here'
}
text.addEventListener('input', () => {
  sessionStorage.setItem(draftKey(room.name), text.value)
  room.status = 'typing'
  clearTimeout(typingTimer)
  typingTimer = setTimeout(stopTyping, TYPING_PAUSE)
})
// A page that returns within the grace period keeps its status.
addEventListener('pagehide', stopTyping)

/** Hands the text to the room. It stays on the page and in the outbox until the room has confirmed it. */
function send(message: string, from: 'user' | 'server'): void {
  text.value = ''
  sessionStorage.removeItem(draftKey(room.name))
  stopTyping()
  outbox.add({ room: room.name, message, author: me, from })
  sendWaiting()
}

element('send', HTMLFormElement).addEventListener('submit', (event) => {
  event.preventDefault()
  const message = text.value.trim()
  if (message !== '') send(message, 'user')
})

element('announce', HTMLButtonElement).addEventListener('click', () => {
  send(text.value.trim() || `${me} says hello through the server.`, 'server')
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
    cutButton.textContent = 'Go online'
    showNote('You are offline · messages that you send now are sent when you go online')
    cut()
    showState(...connection)
  } else {
    cutButton.textContent = 'Go offline'
    mend()
  }
})

for (const change of ['online', 'offline']) {
  addEventListener(change, () => {
    showState(...connection)
    sendWaiting()
  })
}

onOtherTab(
  () => me,
  (name) => {
    if (name === undefined) otherTab.textContent = ''
    else if (name === me) otherTab.textContent = 'Also open in another tab: each tab has its own connection, and you are listed once.'
    else otherTab.textContent = `Also open in another tab, as ${name}: each tab has its own connection.`
  },
)

// Messages from before a reload.
for (const name of outbox.rooms) if (!rooms.has(name)) rooms.set(name, { shown: [] })
sendWaiting()
showEntered()
