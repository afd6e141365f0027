import { actionButton, confirmed, problemLine } from '../lib/controls.js'
import { el, uniqueId } from '../lib/dom.js'
import { day, isolated, listed } from '../lib/texts.js'
import { block, figure, many, own, plain } from './pieces.js'

/**
 * Whom this instance introduces to its peers.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @returns {{ content: HTMLElement, refresh: () => Promise<void> }} the part
 */
export function introducing (admin) {
  const { page, say, sayProblem, ask } = admin
  /** An answer that need not be asked for again. @type {any} */
  let fresh = null
  const { box, reload } = page.loaded(
    async () => {
      const found = fresh ?? await ask('GET', 'introductions')
      fresh = null
      return {
        introduced: many(found?.introduced),
        possible: many(found?.possible).map(host => plain(host, 255))
      }
    },
    ({ introduced, possible }) => [block(say('introduce'), el('p', {}, say('introduceText')),
      introduced.length ? el('ul', { class: 'shoal-list' }, ...introduced.map(line)) : null,
      ...orders(introduced, possible))])
  return { content: box, refresh: reload }

  /** @param {any} offer from the daemon */
  function line ({ recipient, hosts, taken }) {
    return el('li', {},
      el('div', {}, say('introducedTo', { host: isolated(plain(recipient, 255)), hosts: listed(many(hosts).map(host => plain(host, 255))) })),
      el('span', { class: 'muted-2' }, figure(taken) === null ? say('introducedWaiting') : say('introducedTaken', { day: day(taken) })))
  }

  /**
   * @param {any[]} introduced what is introduced now
   * @param {string[]} possible hosts that can be introduced
   */
  function orders (introduced, possible) {
    const problem = problemLine()
    const id = uniqueId('to')
    const to = el('select', { id, class: 'form-control' },
      el('option', { value: '' }, say('toOneAnother')),
      ...possible.map(host => el('option', { value: host }, host)))
    const after = async (/** @type {any} */ found, /** @type {string} */ news) => {
      fresh = found
      await reload()
      box.querySelector('h2')?.focus()
      page.announce(news)
    }
    const now = actionButton({
      text: say('introduceNow'),
      look: 'primary',
      problem,
      sayProblem,
      run: async () => {
        const leaveOut = await asked(to.value, possible)
        if (leaveOut === null) return
        const order = { to: to.value || null, leave_out: leaveOut }
        await after(await ask('POST', 'introductions', order, 60_000), say('introducedNow'))
      }
    })
    const stop = actionButton({
      text: say('stopIntroducing'),
      problem,
      sayProblem,
      run: async () => after(await ask('POST', 'introductions', { stop: true }, 60_000), say('stoppedIntroducing'))
    })
    const able = possible.length > 1
    return [
      able
        ? el('div', { class: 'form-group' }, el('label', { for: id }, say('introduceTo')),
          el('div', { class: 'shoal-line-form' }, to, now))
        : el('p', { class: 'muted-2' }, say('introduceNobody')),
      introduced.length ? el('div', { class: 'shoal-actions' }, stop) : null,
      problem
    ]
  }

  /**
   * @param {string} to a host, empty for one another
   * @param {string[]} possible hosts that can be introduced
   * @returns {Promise<string[] | null>} who is left out, `null` if it was not confirmed
   */
  async function asked (to, possible) {
    const wrong = el('p', { class: 'shoal-problem', role: 'alert' })
    const boxes = possible.filter(host => host !== to).map(host => {
      const input = el('input', { type: 'checkbox', id: uniqueId('introduced') })
      input.checked = true
      return { host, input }
    })
    const ticked = () => boxes.filter(({ input }) => input.checked).length
    const sure = await confirmed({
      title: say('introduceTitle'),
      text: say('introduceWhat'),
      yes: say('introduceYes'),
      no: say('cancel'),
      look: 'primary',
      content: [
        el('ul', { class: 'shoal-list' }, ...boxes.map(({ host, input }) => (
          el('li', { class: 'shoal-tick' }, input, el('label', { for: input.id }, own(host)))))),
        wrong
      ],
      check: () => {
        const enough = ticked() >= (to ? 1 : 2)
        wrong.textContent = enough ? '' : say('introduceFew')
        return enough
      }
    })
    return sure ? boxes.filter(({ input }) => !input.checked).map(({ host }) => host) : null
  }
}
