// The messages of a room, and notes about the connection.

import { element, make } from './elements.ts'
import type { Message } from './generated.ts'

const list = element('messages', HTMLOListElement)
const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' })

/** The number of colours for names, see `style.css`. */
const COLOURS = 6

/** The distance from the end, in pixels, within which the list scrolls to new messages. */
const READING_ALONG = 80

export function showMessage({ message, name, at }: Message, me: string): void {
  const author = name ?? 'Server'
  const kind = name === null ? 'announcement' : name === me ? 'mine' : 'theirs'
  const isSame = list.lastElementChild?.getAttribute('data-author') === author
  const head = make(
    'header',
    {},
    make('b', { 'data-colour': String(colourOf(author)) }, author),
    make('time', { datetime: at.toISOString() }, clock.format(at)),
  )
  append(
    make(
      'li',
      { class: `message ${kind}${isSame ? ' same' : ''}`, 'data-author': author },
      make('span', { class: 'avatar', 'aria-hidden': 'true', 'data-colour': String(colourOf(author)) }, initialOf(author)),
      make('div', { class: 'bubble' }, head, make('p', {}, message)),
    ),
  )
}

/** Shows a note between messages. `good` and `bad` have colours. */
export function showNote(text: string, kind: 'plain' | 'good' | 'bad' = 'plain'): void {
  append(make('li', { class: `note ${kind}` }, make('span', {}, text)))
}

/** Removes and returns the displayed nodes, to show them again later. */
export function takeAway(): Node[] {
  const shown = [...list.children]
  list.replaceChildren()
  return shown
}

export function showAgain(shown: readonly Node[]): void {
  list.replaceChildren(...shown)
  list.scrollTop = list.scrollHeight
}

export function colourOf(name: string): number {
  let sum = 0
  for (const letter of name) sum = (sum * 31 + (letter.codePointAt(0) ?? 0)) % 9973
  return sum % COLOURS
}

export function initialOf(name: string): string {
  return [...name][0]?.toUpperCase() ?? ''
}

function append(item: HTMLLIElement): void {
  const readsAlong = list.scrollHeight - list.scrollTop - list.clientHeight < READING_ALONG
  list.append(item)
  if (readsAlong || item.classList.contains('mine')) list.scrollTop = list.scrollHeight
}
