import { RequestError } from '../lib/api.js'
import { actionButton, confirmed, problemLine } from '../lib/controls.js'
import { el } from '../lib/dom.js'

/**
 * Stop taking part and have everything erased.
 *
 * @param {import('./sentences.js').ViewerPage} page the page
 * @param {() => void} done called after it was erased
 * @returns {HTMLElement} the part of the page
 */
export function withdraw (page, done) {
  const { api, say, sayProblem } = page
  const problem = problemLine()
  const outcome = el('p', { role: 'status' })

  const button = actionButton({
    text: say('withdrawNow'),
    look: 'danger',
    problem,
    sayProblem,
    run: async () => {
      outcome.textContent = ''
      const sure = await confirmed({
        title: say('withdrawTitle'),
        text: say('withdrawText'),
        yes: say('withdrawYes'),
        no: say('cancel')
      })
      if (!sure) return

      try {
        await api.plugin('POST', 'viewer/v1/withdraw', {})
        outcome.textContent = say('withdrawn')
      } catch (error) {
        // The plugin stops using everything first, and tells apart that the daemon could not erase its part yet.
        if (!(error instanceof RequestError && error.status === 502)) throw error
        problem.textContent = say('withdrawnLater')
      }
      done()
    }
  })

  return page.section(say('withdraw'), el('p', {}, say('withdrawText')), button, problem, outcome)
}
