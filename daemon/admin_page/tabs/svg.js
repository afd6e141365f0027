import { el } from '../lib/dom.js'

/**
 * @param {string} tag of an SVG element
 * @param {Record<string, string | number>} attributes of it
 * @param {...(Node | string)} children in it
 * @returns {SVGElement} the element
 */
export function svg (tag, attributes, ...children) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag)
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value))
  element.append(...children)
  return element
}

/**
 * A picture that is drawn anew whenever its room gets wider or narrower, so that its letters keep their size.
 *
 * @param {string} look class of its box
 * @param {(width: number, rtl: boolean) => Node[]} draw makes it for a width in pixels
 * @returns {HTMLElement} its box
 */
export function fitted (look, draw) {
  const box = el('div', { class: look })
  let drawn = 0
  new ResizeObserver(([entry]) => {
    const width = Math.floor(entry?.contentRect.width ?? 0)
    if (width < 100 || width === drawn) return
    drawn = width
    box.replaceChildren(...draw(width, getComputedStyle(document.documentElement).direction === 'rtl'))
  }).observe(box)
  return box
}

/** @param {number} x of its middle @param {number} y of its middle @param {number} r radius */
export const circlePath = (x, y, r) => `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0Z`
