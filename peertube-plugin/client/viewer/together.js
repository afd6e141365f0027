import { el } from '../lib/dom.js'

/**
 * Whether suggestions rest on noisy numbers, and which instances receive sums.
 *
 * @param {import('./sentences.js').ViewerPage} page the page
 * @param {() => Promise<import('./page.js').About>} about what holds on this instance
 * @returns {HTMLElement} the part of the page
 */
export function together (page, about) {
  const { say } = page

  const { box } = page.loaded(about, ({ exact, mode, peers }) => [
    exact === null ? null : el('p', {}, say(exact ? 'exact' : 'noisy')),
    ...receivers(page, mode, peers)
  ])

  return page.section(say('together'), box)
}

/**
 * @param {import('./sentences.js').ViewerPage} page the page
 * @param {string | null} mode what the instance exchanges
 * @param {string[]} peers hosts
 * @returns {HTMLElement[]} who receives what
 */
function receivers ({ say }, mode, peers) {
  if (mode === null) return [el('p', {}, say('notKnown'))]
  if (mode === 'consume') return [el('p', {}, say('consumes'))]
  if (mode !== 'contribute') return [el('p', {}, say('noReceivers'))]
  if (peers.length === 0) return [el('p', {}, say('noReceiversYet'))]

  return [
    el('p', {}, say('receivers')),
    el('ul', {}, ...peers.map(host => el('li', {}, el('bdi', {}, host))))
  ]
}
