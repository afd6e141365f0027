/**
 * Build an element. Strings become text, never markup: this is the only way the plugin's pages make elements.
 *
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag name of the element
 * @param {Record<string, string | boolean | EventListener | undefined>} [attributes] attributes; functions are
 *   listeners of the event named by the key; `true` sets an empty attribute, `false` and `undefined` set none
 * @param {...(Node | string | null)} children what it holds; `null` is skipped
 * @returns {HTMLElementTagNameMap[K]} the element
 */
export function el (tag, attributes = {}, ...children) {
  const element = document.createElement(tag)

  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') element.addEventListener(name, value)
    else if (value === true) element.setAttribute(name, '')
    else if (typeof value === 'string') element.setAttribute(name, value)
  }

  element.append(...children.filter(child => child !== null))
  return element
}

let ids = 0

/**
 * An id that no other element of the page has, for labels and descriptions.
 *
 * @param {string} name what the element is
 * @returns {string} the id
 */
export function uniqueId (name) {
  ids += 1
  return `shoal-${name}-${ids}`
}

/**
 * A link to an address that came from data: only http and https become links, anything else stays text.
 *
 * @param {string} address where it goes
 * @param {string} text what it says
 * @returns {HTMLElement} a link, or plain text in a span
 */
export function safeLink (address, text) {
  const isolated = el('bdi', {}, text)
  if (!isWebAddress(address)) return el('span', {}, isolated)

  const attributes = new URL(address, location.href).host === location.host
    ? { href: address }
    : { href: address, target: '_blank', rel: 'noopener noreferrer' }
  return el('a', { class: 'pt', ...attributes }, isolated)
}

/**
 * Whether a text is an http or https address, or a path on this instance.
 *
 * @param {string} text what may be one
 * @returns {boolean} true if it is
 */
export function isWebAddress (text) {
  try {
    return ['http:', 'https:'].includes(new URL(text, location.href).protocol)
  } catch {
    return false
  }
}
