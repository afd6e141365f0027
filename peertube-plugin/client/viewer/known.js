import { listIn } from '../lib/api.js'
import { actionButton, problemLine } from '../lib/controls.js'
import { el, safeLink } from '../lib/dom.js'
import { day, percent } from '../lib/texts.js'

/**
 * One video the daemon knows this viewer engaged with.
 *
 * @typedef {{
 *   uuid: string, url: string, title?: string, liked?: boolean, disliked?: boolean, watched?: number, at?: number | null
 * }} Known
 */

const AT_ONCE = 50

/**
 * What the daemon keeps about this viewer, to read.
 *
 * @param {import('./sentences.js').ViewerPage} page the page
 * @returns {{ section: HTMLElement, clear: () => void }} the part, and a function that empties it
 */
export function known (page) {
  const { api, say, sayProblem } = page
  const problem = problemLine()
  const shown = el('div', {})

  const show = actionButton({
    text: say('showKnown'),
    problem,
    sayProblem,
    run: async () => {
      draw(page, shown, listIn(await api.plugin('GET', 'viewer/v1/known'), 'videos'))
    }
  })

  return {
    section: page.section(say('known'), el('p', {}, say('knownText')), show, problem, shown),
    clear: () => shown.replaceChildren()
  }
}

/**
 * @param {import('./sentences.js').ViewerPage} page the page
 * @param {HTMLElement} shown where it goes
 * @param {Known[]} videos everything that is known
 */
function draw (page, shown, videos) {
  const { say, sayProblem } = page
  const count = el('p', { tabindex: '-1', class: 'shoal-count' },
    videos.length ? say.counted('knownOne', 'knownOther', videos.length) : say('nothingKnown'))
  const list = el('ul', { class: 'shoal-list' })
  const problem = problemLine()

  let next = 0
  const showMore = () => {
    const entries = videos.slice(next, next + AT_ONCE).map(video => entry(page, video))
    list.append(...entries)
    next += entries.length
    more.hidden = next >= videos.length
    return entries[0]
  }

  const more = actionButton({
    text: say('more'),
    problem,
    sayProblem,
    run: () => showMore()?.focus()
  })

  showMore()
  shown.replaceChildren(count, list, more, problem)
  count.focus()
}

/**
 * @param {import('./sentences.js').ViewerPage} page the page
 * @param {Known} video what is known of it
 */
function entry ({ say }, video) {
  const facts = [
    video.liked ? say('liked') : '',
    video.disliked ? say('disliked') : '',
    video.watched ? say('watched', { part: percent(video.watched) }) : '',
    video.at ? day(video.at) : ''
  ].filter(fact => fact !== '')

  return el('li', { tabindex: '-1' },
    safeLink(video.title ? `/w/${video.uuid}` : video.url, video.title ?? video.url),
    el('span', { class: 'muted-2' }, facts.join(' · ')))
}
