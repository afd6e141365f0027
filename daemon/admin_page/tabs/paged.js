import { el, uniqueId } from '../lib/dom.js'
import { number } from '../lib/texts.js'
import { nothing } from './pieces.js'

/**
 * A list behind a search and pages. Both are there only where it is longer than a page, and stay as they are when it is
 * filled anew.
 *
 * @template T
 * @param {import('./admin.js').Admin['say']} say the page's sentences
 * @param {object} options what it is
 * @param {string} options.label what is searched, for the field
 * @param {number} [options.most] of a page
 * @param {string} [options.empty] what to say where there is nothing at all
 * @param {(item: T) => string} options.text of an item that is searched
 * @param {(items: T[]) => HTMLElement} options.draw makes what a page shows
 * @returns {{ element: HTMLElement, show: (items: T[]) => void, reveal: (wanted: (item: T) => boolean) => void }} the
 *   list, a function that fills it, and one that turns to the page with an item
 */
export function paged (say, { label, most = 25, empty, text, draw }) {
  const id = uniqueId('search')
  /** @type {T[]} */
  let all = []
  let first = 0
  const turn = (/** @type {number} */ to, /** @type {HTMLElement} */ pressed) => {
    first = to
    fill()
    // The keyboard stays where it can go on.
    if (pressed.hasAttribute('disabled')) (pressed === back ? on : back).focus()
  }
  const button = (/** @type {string} */ title, /** @type {number} */ by) => {
    const made = el('button', {
      type: 'button', class: 'peertube-button peertube-button-small secondary-button', click: () => { turn(first + by, made) }
    }, title)
    return made
  }
  const [back, on] = [button(say('pageBack'), -most), button(say('pageOn'), most)]
  const input = el('input', {
    id, class: 'form-control', type: 'search', autocomplete: 'off', spellcheck: 'false', input: () => { first = 0; fill() }
  })
  const place = el('span', { role: 'status' })
  const search = el('div', { class: 'shoal-search' }, el('label', { for: id }, label), input)
  const content = el('div', {})
  const pages = el('div', { class: 'shoal-actions' }, back, on, place)
  const element = el('div', {}, search, content, pages)

  const found = () => {
    const words = input.value.trim().toLowerCase().split(/\s+/).filter(Boolean)
    if (words.length === 0 || search.hidden) return all
    return all.filter(item => words.every(word => text(item).toLowerCase().includes(word)))
  }
  const fill = () => {
    search.hidden = all.length <= most
    const matching = found()
    first = Math.max(0, Math.min(first, Math.ceil(matching.length / most) * most - most))
    const shown = matching.slice(first, first + most)
    content.replaceChildren(shown.length ? draw(shown) : nothing(all.length ? say('nothingFound') : empty ?? say('nothingFound')))
    back.toggleAttribute('disabled', first === 0)
    on.toggleAttribute('disabled', first + most >= matching.length)
    pages.hidden = all.length <= most
    place.textContent = matching.length
      ? say('pageOf', { first: number(first + 1), last: number(first + shown.length), total: number(matching.length) })
      : ''
  }
  return {
    element,
    show: items => { all = items; fill() },
    reveal: wanted => {
      if (!found().some(wanted)) input.value = ''
      first = Math.max(0, Math.floor(found().findIndex(wanted) / most) * most)
      fill()
    }
  }
}
