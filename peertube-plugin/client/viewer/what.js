import { el } from '../lib/dom.js'
import { day } from '../lib/texts.js'

/**
 * Why there is a choice, what is learnt and sent, and how long it takes.
 *
 * @param {import('./sentences.js').ViewerPage} page the page
 * @param {() => Promise<import('./page.js').About>} about what holds on this instance
 * @returns {HTMLElement} the part of the page
 */
export function what (page, about) {
  const { say } = page
  const { box } = page.loaded(about, ({ next }) => [el('dl', {},
    ...(/** @type {const} */ (['why', 'learnt', 'sent', 'never'])).flatMap(name => [el('dt', {}, say(name)), el('dd', {}, say(`${name}Text`))]),
    el('dt', {}, say('when')),
    el('dd', {}, next ? say('whenNext', { date: day(next) }) : say('whenOften'), ' ', say('whenText')))])
  return page.section(say('what'), box)
}
