import { el, uniqueId } from '../lib/dom.js'

/** @typedef {Node | string | null} Content */

/** What turns the direction of writing; hosts and sentences of others must not reach beyond themselves. */
const TURNING = /[\u202A-\u202E\u2066-\u2069]/g

/**
 * A text of anybody, of a length that a page can bear.
 *
 * @param {unknown} text what may be one
 * @param {number} most characters
 * @returns {string} the text, empty for anything else
 */
export function plain (text, most = 1000) {
  if (typeof text !== 'string') return ''
  const clean = text.replace(TURNING, '')
  return clean.length > most ? `${clean.slice(0, most)}…` : clean
}

/**
 * A list in an answer, where one may be missing.
 *
 * @param {unknown} value what may be one
 * @returns {any[]} the list, empty for anything else
 */
export function many (value) {
  return Array.isArray(value) ? value : []
}

/**
 * @param {unknown} value what may be a number
 * @returns {number | null} the number, `null` for anything else
 */
export function figure (value) {
  return typeof value === 'number' && Number.isFinite(value) ? value : null
}

/**
 * A titled part as wide as the page, for lists and tables.
 *
 * @param {string} title its heading
 * @param {...Content} content below
 * @returns {HTMLElement} the part
 */
export function block (title, ...content) {
  const id = uniqueId('title')
  return el('section', { class: 'shoal-block', 'aria-labelledby': id },
    el('h2', { id, tabindex: '-1' }, title), ...content)
}

/**
 * @param {string} text in it
 * @param {'green' | 'yellow' | 'red' | 'secondary'} look what it tells
 * @returns {HTMLElement} a small label
 */
export function badge (text, look) {
  return el('span', { class: `pt-badge badge-${look}` }, text)
}

/**
 * Something that somebody else named: a host, a title. Its writing direction stays its own.
 *
 * @param {unknown} text to show
 * @returns {HTMLElement} it
 */
export function own (text) {
  return el('bdi', {}, plain(text, 300))
}

/**
 * Names beside each other.
 *
 * @param {unknown} hosts names
 * @param {string} nobody what to say when there are none
 * @returns {HTMLElement} the names
 */
export function names (hosts, nobody) {
  const known = many(hosts)
  if (known.length === 0) return el('span', { class: 'muted-2' }, nobody)
  return el('span', {}, ...known.flatMap((name, place) => place ? [', ', own(name)] : [own(name)]))
}

/**
 * A hash or key: the beginning is enough to compare, all of it is there to copy.
 *
 * @param {unknown} text in hexadecimal or base 64
 * @param {boolean} [whole] whether to show all of it
 * @returns {HTMLElement} it
 */
export function code (text, whole = false) {
  const all = plain(text, 200)
  const short = whole || all.length <= 16 ? all : `${all.slice(0, 12)}…`
  return el('code', { class: 'shoal-code', dir: 'ltr', title: short === all ? undefined : all }, short)
}

/**
 * Names and values.
 *
 * @param {([string, Content] | null)[]} entries pairs; `null` is skipped
 * @returns {HTMLElement} the list
 */
export function facts (entries) {
  return el('dl', { class: 'shoal-facts' }, ...entries.filter(entry => entry !== null).map(([name, value]) => (
    el('div', {}, el('dt', {}, name), el('dd', {}, value)))))
}

/**
 * A table that becomes a list of entries where it is narrow. Roles are written out, because browsers drop those of
 * tables that are laid out another way.
 *
 * @param {string} caption what it holds, for screen readers
 * @param {(string | { title: string, number: true })[]} columns headings
 * @param {Content[][]} rows cells
 * @returns {HTMLElement} the table
 */
export function table (caption, columns, rows) {
  const heads = columns.map(column => typeof column === 'string' ? { title: column, number: false } : column)
  const look = (/** @type {number} */ place) => heads[place]?.number ? 'shoal-number' : undefined
  return el('table', { class: 'shoal-table', role: 'table', 'aria-label': caption },
    el('thead', { role: 'rowgroup' }, el('tr', { role: 'row' }, ...heads.map(({ title }, place) => (
      el('th', { role: 'columnheader', scope: 'col', class: look(place) }, title))))),
    el('tbody', { role: 'rowgroup' }, ...rows.map(cells => el('tr', { role: 'row' }, ...cells.map((cell, place) => (
      el('td', { role: 'cell', class: look(place), 'data-label': heads[place]?.title }, el('div', {}, cell))))))))
}

/**
 * What only some want to read.
 *
 * @param {string} title always shown
 * @param {...Content} content shown when opened
 * @returns {HTMLDetailsElement} the box
 */
export function folded (title, ...content) {
  return el('details', { class: 'shoal-folded' }, el('summary', {}, title), ...content)
}

/**
 * @param {string} text what there is nothing of
 * @returns {HTMLElement} a quiet line
 */
export function nothing (text) {
  return el('p', { class: 'muted-2' }, text)
}
