import { actionButton, problemLine } from '../lib/controls.js'
import { el } from '../lib/dom.js'
import { translate } from '../lib/texts.js'

/**
 * One thing that must be right for suggestions to work.
 *
 * @typedef {{ name: string, ok: boolean, text: string, advice?: string }} Check
 */

/**
 * Whether everything works and, if not, what to do.
 *
 * @param {import('./sentences.js').AdminPage} page the page
 * @returns {HTMLElement} the part of the page
 */
export function diagnostics (page) {
  const { api, say, sayProblem, helpers } = page
  const problem = problemLine()

  const { box, reload } = page.loaded(
    async () => {
      /** @type {{ checks: Check[] }} */
      const { checks } = await api.plugin('GET', 'admin/v1/diagnostics')
      return Promise.all(checks.map(async check => ({
        ok: check.ok === true,
        text: await translate(helpers, check.text),
        advice: check.advice ? await translate(helpers, check.advice) : ''
      })))
    },
    checks => {
      const failing = checks.filter(check => !check.ok).length
      return [
        el('p', { role: 'status' }, failing ? say.counted('problemOne', 'problemOther', failing) : say('allWell')),
        el('ul', { class: 'shoal-list' }, ...checks.map(check => el('li', {},
          el('span', { class: `pt-badge ${check.ok ? 'badge-green' : 'badge-red'}` }, say(check.ok ? 'works' : 'attention')), ' ',
          el('span', {}, check.text),
          check.ok || !check.advice ? null : el('p', { class: 'shoal-advice' }, check.advice))))
      ]
    })

  const again = actionButton({ text: say('checkAgain'), small: true, problem, sayProblem, run: reload })
  return page.section(say('state'), box, again, problem)
}
