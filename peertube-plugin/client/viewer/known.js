import { actionButton, problemLine } from '../lib/controls.js'
import { el, safeLink } from '../lib/dom.js'
import { day, percent } from '../lib/texts.js'
import { titlesOf } from '../lib/titles.js'

/** @typedef {{ uuid: string, url: string, liked?: boolean, disliked?: boolean, watched?: number, at?: number }} Known */

const AT_ONCE = 50

/**
 * What the daemon keeps about this viewer, to read.
 *
 * @param {import('./sentences.js').ViewerPage} page the page
 * @returns {{ section: HTMLElement, clear: () => void }} the part of the page, and a function that puts away what is shown
 */
export function known (page) {
  const { api, say, sayProblem } = page
  const problem = problemLine()
  const shown = el('div', {})

  const button = actionButton({
    text: say('showKnown'),
    problem,
    sayProblem,
    run: async () => {
      const { videos } = await api.plugin('POST', 'viewer/v1/known').catch(retryWithGet(page))
      await draw(page, shown, videos)
    }
  })

  return {
    section: page.section(say('known'), el('p', {}, say('knownText')), button, problem, shown),
    clear: () => shown.replaceChildren()
  }
}
