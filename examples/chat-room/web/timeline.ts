// The messages of a room, and notes about the connection. Messages that the room has not confirmed yet are at the end.

import { element, make } from './elements.ts'
import type { Message } from './generated.ts'
import type { Outgoing } from './outbox.ts'

const list = element('messages', HTMLOListElement)
const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' })

/** The number of colours for names, see `style.css`. */
const COLOURS = 6

/** The distance from the end, in pixels, within which the list scrolls to new messages. */
const READING_ALONG = 80

/** The number of confirmed messages and notes to which the list is reduced, and the number at which this happens. */
const KEPT = 500
const FULL = 550

/** What the user can do with a message that the room has rejected. */
export interface OutgoingActions {
  retry(id: string): void
  remove(id: string): void
}

/** Shows a message of the room. The user's own message is already there, and becomes a confirmed one. */
export function showMessage(message: Message, me: string): void {
  const own = message.id === null ? null : find(message.id)
  if (own === null) return append(itemOf(message, me))
  own.querySelector('time')?.replaceWith(timeOf(message.at))
  showSent(own.dataset.id ?? '')
}

/** Marks an own message as confirmed. */
export function showSent(id: string): void {
  const item = find(id)
  if (item?.matches('.pending') !== true) return
  item.classList.remove('pending')
  item.querySelector('.delivery')?.remove()
  const first = list.querySelector('.pending')
  // Messages are usually confirmed in order. An element that moves would be read out again.
  if (first !== null && item.compareDocumentPosition(first) & Node.DOCUMENT_POSITION_PRECEDING) place(item, first)
}

/** Shows the messages that wait for their confirmation, and their state. */
export function showOutgoing(messages: readonly Outgoing[], isConnected: boolean, actions: OutgoingActions): void {
  keepEnd()
  for (const item of list.querySelectorAll<HTMLElement>('.pending')) {
    if (!messages.some(({ id }) => id === item.dataset.id)) remove(item)
  }
  for (const { id, message, from, author, at, error } of messages) {
    let item = find(id)
    if (item === null) {
      item = itemOf({ id, message, name: from === 'user' ? author : null, at: new Date(at) }, author)
      item.classList.add('pending')
      append(item)
    }
    const delivery = error !== undefined ? 'failed' : isConnected ? 'sending' : 'queued'
    if (item.dataset.delivery === delivery || !item.matches('.pending')) continue
    item.dataset.delivery = delivery
    item.querySelector('.delivery')?.remove()
    item.querySelector('.bubble')?.append(deliveryOf(id, delivery, error, actions))
  }
}

function deliveryOf(id: string, delivery: 'sending' | 'queued' | 'failed', error: string | undefined, actions: OutgoingActions): Node {
  if (delivery === 'sending') return make('div', { class: 'delivery' }, 'Sending …')
  if (delivery === 'queued') return make('div', { class: 'delivery' }, 'Queued · sent when you are connected')
  const button = (text: string, act: (id: string) => void): HTMLButtonElement => {
    const made = make('button', { type: 'button' }, text)
    made.addEventListener('click', () => act(id))
    return made
  }
  return make('div', { class: 'delivery' }, make('span', {}, `Not sent: ${error}`), button('Retry', actions.retry), button('Delete', actions.remove))
}

/** Shows a note between messages. `good` and `bad` have colours. */
export function showNote(text: string, kind: 'plain' | 'good' | 'bad' = 'plain'): void {
  append(make('li', { class: `note ${kind}` }, make('span', {}, text)))
}

/** Removes the displayed nodes, and returns those to show again later. */
export function takeAway(): Node[] {
  const shown = [...list.children].filter((item) => !item.matches('.pending'))
  list.replaceChildren()
  return shown
}

export function showAgain(shown: readonly Node[]): void {
  list.replaceChildren(...shown)
  keepEnd(true)
}

export function colourOf(name: string): number {
  let sum = 0
  for (const letter of name) sum = (sum * 31 + (letter.codePointAt(0) ?? 0)) % 9973
  return sum % COLOURS
}

export function initialOf(name: string): string {
  return [...name][0]?.toUpperCase() ?? ''
}

function itemOf({ id, message, name, at }: Message, me: string): HTMLLIElement {
  const author = name ?? 'Server'
  const kind = name === null ? 'announcement' : name === me ? 'mine' : 'theirs'
  const head = make('header', {}, make('b', { 'data-colour': String(colourOf(author)) }, author), timeOf(at))
  return make(
    'li',
    { class: `message ${kind}`, 'data-author': author, ...(id === null ? {} : { 'data-id': id }) },
    make('span', { class: 'avatar', 'aria-hidden': 'true', 'data-colour': String(colourOf(author)) }, initialOf(author)),
    make('div', { class: 'bubble' }, head, make('p', {}, message)),
  )
}

function timeOf(at: Date): HTMLTimeElement {
  return make('time', { datetime: at.toISOString() }, clock.format(at))
}

/** Returns the displayed message with the id. */
function find(id: string): HTMLLIElement | null {
  return list.querySelector<HTMLLIElement>(`[data-id="${CSS.escape(id)}"]`)
}

/** Adds an element after the confirmed messages, or after the others if it is not confirmed. */
function append(item: HTMLLIElement): void {
  const isPending = item.matches('.pending')
  keepEnd(isPending)
  place(item, isPending ? null : list.querySelector('.pending'))
  removeOldest()
}

/** Whether the list scrolls to its end before the next frame. Undefined if it has not changed since the last one. */
let scrollsToEnd: boolean | undefined

/**
 * Is called before a change of the list. The list then scrolls to its end if the user reads the newest messages, or in any case. It is
 * measured once for all changes before a frame, since measuring after each change would compute the layout each time.
 */
function keepEnd(always = false): void {
  if (scrollsToEnd === undefined) {
    scrollsToEnd = readsAlong()
    requestAnimationFrame(() => {
      if (scrollsToEnd === true) list.scrollTop = list.scrollHeight
      scrollsToEnd = undefined
    })
  }
  scrollsToEnd ||= always
}

/** Whether the user reads the newest messages. */
function readsAlong(): boolean {
  return list.scrollHeight - list.scrollTop - list.clientHeight < READING_ALONG
}

/** Removes the oldest confirmed messages and notes if there are too many. The messages that the user reads do not move. */
function removeOldest(): void {
  const count = list.childElementCount - list.querySelectorAll('.pending').length
  if (count < FULL) return
  const top = list.scrollTop
  const height = scrollsToEnd === true ? 0 : list.scrollHeight
  for (const item of [...list.children].slice(0, count - KEPT)) item.remove()
  joinAuthor(list.firstElementChild)
  if (scrollsToEnd !== true) list.scrollTop = top - (height - list.scrollHeight)
}

/** Puts an element before another one, or at the end. */
function place(item: Element, next: Element | null): void {
  const left = item.nextElementSibling
  list.insertBefore(item, next)
  for (const changed of [left, item, next]) joinAuthor(changed)
}

function remove(item: Element): void {
  const next = item.nextElementSibling
  item.remove()
  joinAuthor(next)
}

/** Hides the author of a message if the previous message has the same one. */
function joinAuthor(item: Element | null): void {
  const author = item?.getAttribute('data-author')
  item?.classList.toggle('same', author != null && author === item.previousElementSibling?.getAttribute('data-author'))
}
