import { listIn } from '../lib/api.js'
import { actionButton, problemLine } from '../lib/controls.js'
import { el, uniqueId } from '../lib/dom.js'
import { isolated, percent } from '../lib/texts.js'
import { moment } from './numbers.js'
import { block, figure, folded, nothing, own, plain } from './pieces.js'
import { revertReport } from './revert-report.js'

const WAIT_MS = 310_000
const LOOK_MS = 1000
/** Peers whose viewers can be in what was learnt; the last word on that is the preview's. */
const STATES = ['approved', 'paused', 'removed', 'candidate', 'reverted']


/**
 * Take a peer's learning out: choose, look at what it would change, confirm, follow it, read the report.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @returns {import('./tab-list.js').Part} the part
 */
export function revert (admin) {
  const { page, say, sayProblem, ask } = admin
  const id = uniqueId('revert')
  const problem = problemLine()
  const preview = el('div', {})
  const progress = new Progress(admin)
  const select = el('select', { id, class: 'form-control', change: () => { preview.replaceChildren() } })
  let wanted = ''

  const choices = page.loaded(
    async () => listIn(await ask('GET', 'peers'), 'peers'),
    (/** @type {any[]} */ all) => {
      const hosts = STATES.flatMap(state => all.filter(peer => peer.state === state)).map(peer => plain(peer.host, 300))
      const chosen = [wanted, select.value].find(host => hosts.includes(host))
      select.replaceChildren(
        el('option', { value: '' }, say('chooseHost')), ...hosts.map(host => el('option', { value: host }, host)))
      select.value = chosen ?? ''
      return [el('div', { class: 'form-group' }, el('label', { for: id }, say('revertHost')), select)]
    })

  const earlier = page.loaded(
    async () => (await ask('GET', 'reverts')).reverts,
    reverts => reverts.length
      ? [el('ul', { class: 'shoal-list' }, ...reverts.map(({ at, host, report }) => el('li', {},
        el('div', { class: 'shoal-peer-head' }, el('strong', {}, own(host)), el('span', { class: 'muted-2' }, moment(figure(at) ?? 0))),
        report?.proof ? el('p', {}, plain(report.proof)) : null,
        report ? folded(say('report'), revertReport(admin, report)) : null)))]
      : [nothing(say('noReverts'))])

  const look = actionButton({
    text: say('previewNow'),
    look: 'primary',
    problem,
    sayProblem,
    run: async () => {
      const host = select.value
      if (host === '') {
        problem.textContent = say('chooseFirst')
        select.focus()
        return
      }
      preview.replaceChildren()
      const report = await progress.follow(host, true)
      // Another host was chosen meanwhile: this is not its preview.
      if (select.value !== host) return
      const heading = el('h3', { tabindex: '-1' }, say('previewOf', { host: isolated(host) }))
      preview.replaceChildren(heading, revertReport(admin, report), confirmation(host))
      heading.focus()
    }
  })

  /** @param {string} host to take out */
  const confirmation = host => {
    const typed = uniqueId('confirm')
    const failed = problemLine()
    const input = el('input', {
      id: typed, class: 'form-control', type: 'text', dir: 'ltr', spellcheck: 'false', autocapitalize: 'none', autocomplete: 'off',
      'aria-describedby': `${typed}-text`
    })
    const go = actionButton({
      text: say('revertNow'),
      look: 'danger',
      problem: failed,
      sayProblem,
      run: async () => {
        const same = input.value.trim().toLowerCase() === host.toLowerCase()
        input.setAttribute('aria-invalid', String(!same))
        if (!same) {
          failed.textContent = say('typeHost', { host: isolated(host) })
          input.focus()
          return
        }
        const report = await progress.follow(host, false)
        const heading = el('h3', { tabindex: '-1' }, say('revertedReport', { host: isolated(host) }))
        preview.replaceChildren(heading, revertReport(admin, report))
        heading.focus()
        page.announce(say('revertDone', { host: isolated(host) }))
        void earlier.reload()
        void choices.reload()
      }
    })
    const form = el('form', {
      class: 'shoal-confirm',
      submit: event => {
        event.preventDefault()
        go.click()
      }
    },
    el('p', {}, say('revertText')),
    el('label', { for: typed }, say('confirmHost')),
    el('div', { id: `${typed}-text`, class: 'form-group-description' }, say('typeHost', { host: isolated(host) })),
    input, go, failed)
    return form
  }

  return {
    content: [
      block(say('revert'), el('p', {}, say('revertIntro')), choices.box, look, problem, progress.element, preview),
      block(say('earlierReverts'), earlier.box)
    ],
    refresh: () => Promise.all([choices.reload(), earlier.reload()]),
    about: async host => {
      wanted = host
      preview.replaceChildren()
      await choices.reload()
      wanted = ''
      select.focus()
    }
  }
}

/** What the daemon does while a report is being made. */
class Progress {
  /** @param {import('./admin.js').Admin} admin the page */
  constructor (admin) {
    this.admin = admin
    this.bar = el('progress', { max: '1', 'aria-label': admin.say('progress') })
    this.text = el('p', { role: 'status' })
    this.element = el('div', { class: 'shoal-progress', hidden: true }, this.bar, this.text)
  }

  /**
   * @param {string} host whose learning is taken out
   * @param {boolean} preview whether nothing is to be changed
   * @returns {Promise<import('../ask.js').Answer<'RevertReport'>>} the report
   */
  async follow (host, preview) {
    const { say, ask } = this.admin
    this.bar.removeAttribute('value')
    this.text.textContent = say(preview ? 'previewRunning' : 'revertRunning')
    this.element.hidden = false
    let over = false
    const watching = this.#watch(() => over)
    try {
      const answer = await ask('POST', `peers/${encodeURIComponent(host)}/revert`, { dry_run: preview, confirm: host }, WAIT_MS)
      // A report has what changed; without that, the daemon says that it is still at it.
      return 'changed' in answer ? answer : await this.#later(host, preview)
    } finally {
      over = true
      await watching
      this.element.hidden = true
    }
  }

  /** @param {() => boolean} isOver whether there is nothing to watch any more */
  async #watch (isOver) {
    for (;;) {
      await pause()
      if (isOver()) return
      // Whether it can be watched is not what matters; the report says how it went.
      const state = await this.admin.ask('GET', 'reverts').catch(() => null)
      if (!isOver()) await this.#show(state?.running[0])
    }
  }

  /** @param {import('../ask.js').Answer<'RevertInProgress'>} [running] what the daemon does */
  async #show (running) {
    if (!running) return
    const fraction = figure(running.fraction)
    if (fraction !== null) this.bar.value = Math.min(1, Math.max(0, fraction))
    const stage = await this.admin.translated(running.stage)
    this.text.textContent = this.admin.say('stage', { stage, part: percent(fraction ?? 0) })
  }

  /**
   * The report of work that took longer than an answer can wait.
   *
   * @param {string} host whose learning is taken out
   * @param {boolean} preview whether nothing was to be changed
   * @returns {Promise<import('../ask.js').Answer<'RevertReport'>>} the report
   */
  async #later (host, preview) {
    for (;;) {
      await pause()
      const state = await this.admin.ask('GET', 'reverts')
      const { running, last } = state
      if (running.length) continue
      if (last?.host === host && last.dry_run === preview && last.report) return last.report
      throw this.admin.failed(last?.problem)
    }
  }
}

function pause () {
  return new Promise(resolve => { setTimeout(resolve, LOOK_MS) })
}
