// @ts-check
// Elements of the page. Data becomes text nodes and attributes, never HTML.

/**
 * Creates an element.
 *
 * @template {keyof HTMLElementTagNameMap} Name
 * @param {Name} name
 * @param {Record<string, string | number | boolean | undefined>} [attributes] - `true` sets an attribute without a value; `false` and
 * `undefined` set none.
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[Name]}
 */
export function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children)
}

/**
 * Creates an element of an image.
 *
 * @template {keyof SVGElementTagNameMap} Name
 * @param {Name} name
 * @param {Record<string, string | number | boolean | undefined>} [attributes]
 * @param {...(Node | string)} children
 * @returns {SVGElementTagNameMap[Name]}
 */
export function shape(name, attributes = {}, ...children) {
  return filled(document.createElementNS('http://www.w3.org/2000/svg', name), attributes, children)
}

/**
 * @template {Element} Created
 * @param {Created} created
 * @param {Record<string, string | number | boolean | undefined>} attributes
 * @param {(Node | string)[]} children
 * @returns {Created}
 */
function filled(created, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) created.setAttribute(key, value === true ? '' : String(value))
  }
  created.append(...children)
  return created
}

/**
 * Creates a button.
 *
 * @param {string} text
 * @param {() => void} onClick
 * @param {Record<string, string | number | boolean | undefined>} [attributes]
 * @returns {HTMLButtonElement}
 */
export function button(text, onClick, attributes = {}) {
  const created = element('button', { type: 'button', ...attributes }, text)
  created.addEventListener('click', onClick)
  return created
}

/**
 * Finds an element of the page by its id.
 *
 * @template {Element} Found
 * @param {string} id
 * @param {new () => Found} type
 * @returns {Found}
 */
export function find(id, type) {
  const found = document.getElementById(id)
  if (!(found instanceof type)) throw new Error(`the page has no ${type.name} with the id ${id}`)
  return found
}

/**
 * Copies a text. The button states the result for a moment; its width does not change, since the texts have the same length.
 *
 * @param {string} text
 * @param {string} label
 * @returns {HTMLButtonElement}
 */
export function copyButton(text, label) {
  const result = element('span', { class: 'visually-hidden', role: 'status' })
  const copied = button(label, async () => {
    const isCopied = await navigator.clipboard.writeText(text).then(
      () => true,
      () => false,
    )
    result.textContent = isCopied ? 'Copied' : 'The browser did not allow copying'
    copied.dataset['result'] = isCopied ? 'copied' : 'failed'
    setTimeout(() => {
      result.textContent = ''
      delete copied.dataset['result']
    }, 1_500)
  })
  copied.classList.add('small')
  copied.append(result)
  return copied
}
