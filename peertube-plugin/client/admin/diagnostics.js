import { listIn } from '../lib/api.js'
import { actionButton, problemLine } from '../lib/controls.js'
import { el } from '../lib/dom.js'
import { serverText } from '../lib/texts.js'

/**
 * One thing that must be right for suggestions to work, with what it is or what to do about it in English.
 *
 * @typedef {{ id: string, ok: boolean | null, message: string, advice: string }} Check
 */

/** Names of checks. One that this version of the page does not know goes by its id. */
const NAMES = /** @type {const} */ ([
  'settings', 'consent', 'tables', 'daemon', 'secret', 'sync', 'participants', 'related', 'browser', 'audience', 'search',
  'federation'
])

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
      /** @type {Check[]} */
      const checks = listIn(await api.plugin('GET', 'admin/v1/diagnostics'), 'checks')
      return Promise.all(checks.map(async ({ id, ok, message, advice }) => ({
        id,
        ok,
        texts: await Promise.all([message, advice].filter(text => text).map(text => serverText(helpers, text)))
      })))
    },
    checks => {
      const failing = checks.filter(({ ok }) => ok === false).length
      return [
        el('p', { role: 'status' }, failing ? say.counted('problemOne', 'problemOther', failing) : say('allWell')),
        el('ul', { class: 'shoal-list' }, ...checks.map(({ id, ok, texts }) => el('li', { class: 'shoal-check' },
          badge(page, ok),
          el('div', {}, el('strong', {}, name(page, id)), ...texts.map(text => el('p', {}, text))))))
      ]
    })

  const again = actionButton({ text: say('checkAgain'), small: true, problem, sayProblem, run: reload })
  return page.section(say('state'), box, again, problem)
}

/**
 * @param {import('./sentences.js').AdminPage} page the page
 * @param {boolean | null} ok how a check went
 */
function badge ({ say }, ok) {
  if (ok === true) return el('span', { class: 'pt-badge badge-green' }, say('works'))
  if (ok === false) return el('span', { class: 'pt-badge badge-red' }, say('attention'))
  return el('span', { class: 'pt-badge badge-secondary' }, say('open'))
}

/**
 * @param {import('./sentences.js').AdminPage} page the page
 * @param {string} id of a check
 */
function name ({ say }, id) {
  const known = NAMES.find(candidate => candidate === id)
  return known ? say(`check_${known}`) : id
}
