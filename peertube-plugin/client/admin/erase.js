import { actionButton, confirmed, problemLine } from '../lib/controls.js'
import { el } from '../lib/dom.js'

/**
 * Remove everything before uninstalling.
 *
 * @param {import('./sentences.js').AdminPage} page the page
 * @returns {HTMLElement} the part of the page
 */
export function erase (page) {
  const { api, say, sayProblem } = page
  const problem = problemLine()
  const outcome = el('p', { role: 'status' })

  const button = actionButton({
    text: say('eraseNow'),
    look: 'danger',
    problem,
    sayProblem,
    run: async () => {
      outcome.textContent = ''
      const sure = await confirmed({
        title: say('eraseTitle'), text: say('eraseText'), yes: say('eraseYes'), no: say('cancel')
      })
      if (!sure) return

      await api.plugin('POST', 'admin/v1/erase', { confirm: 'erase' })
      outcome.textContent = say('erased')
    }
  })

  return page.section(say('erase'), el('p', {}, say('eraseText')), button, problem, outcome)
}
