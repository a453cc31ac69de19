// @ts-check
// A value as a tree of elements, which are created when they are opened.

import { button, element } from './dom.js'
import { count } from './format.js'

/** @import { Value } from './value.js' */

/** The number of entries that are shown at once. */
const SHOWN = 100

/** The depth to which the tree is open at first. */
const OPEN_DEPTH = 2

/**
 * @param {Value} value
 * @param {number} [depth]
 * @returns {HTMLElement}
 */
export function tree(value, depth = 0) {
  if (!value.isContainer) {
    const { kind } = value
    const text = element('span', { class: `value ${/^[a-z]+$/.test(kind) ? kind : 'custom'}` }, value.text)
    const isNamed = !['string', 'number', 'boolean', 'null', 'undefined', 'nan'].includes(kind)
    return isNamed ? element('span', {}, text, ' ', element('span', { class: 'type' }, kind)) : text
  }
  const { size, kind } = value
  const details = element('details', { class: 'node' })
  const open = Array.isArray(value.json) ? `[${count(size)}]` : `{${count(size)}}`
  const isPlain = kind === 'array' || kind === 'object'
  const type = element('span', { class: 'type' }, isPlain ? open : `${kind} ${open}`)
  details.append(element('summary', {}, type, ' ', element('span', { class: 'glimpse' }, value.preview(60))))
  const list = element('ul')
  const entries = value.entries()
  const show = () => {
    for (let shown = 0; shown < SHOWN; shown++) {
      const { done, value: entry } = entries.next()
      if (done === true) return
      const [name, child] = entry
      // The items of a set have no names.
      const label = kind === 'set' ? [] : [element('span', { class: 'name' }, name), ' ']
      list.append(element('li', {}, ...label, tree(child, depth + 1)))
    }
    if (list.childElementCount >= size) return
    const item = element('li')
    const left = size - list.childElementCount
    item.append(
      button(
        `Show ${count(Math.min(SHOWN, left))} of ${count(left)} more`,
        () => {
          const isFocused = item.contains(document.activeElement)
          const previous = item.previousElementSibling
          item.remove()
          show()
          if (!isFocused) return
          const next = /** @type {HTMLElement | null} */ (previous?.nextElementSibling ?? null)
          next?.setAttribute('tabindex', '-1')
          next?.focus()
        },
        { class: 'small' },
      ),
    )
    list.append(item)
  }
  const fill = () => {
    if (list.parentNode !== null) return
    show()
    details.append(list)
  }
  details.addEventListener('toggle', () => details.open && fill())
  if (depth < OPEN_DEPTH && size <= SHOWN) {
    fill()
    details.open = true
  }
  return details
}
