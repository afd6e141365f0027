import { actionButton, problemLine } from '../lib/controls.js'
import { el, uniqueId } from '../lib/dom.js'
import { isolated, number, percent } from '../lib/texts.js'
import { moment } from './numbers.js'
import { block, figure, folded, nothing, own, plain } from './pieces.js'
import { revertReport } from './revert-report.js'

const WAIT_MS = 310_000
const LOOK_MS = 1000


/**
 * Take a peer's learning out, below its row: look at what it would change, confirm, follow it, read the report.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @param {import('./peer.js').Peer} peer from the daemon
 * @param {any} cohort whether there are enough peers for a sum
 * @param {import('./peer.js').Changed} changed called after it
 * @returns {HTMLElement} the way there
 */
export function revertPanel (admin, peer, cohort, changed) {
  const { say, sayProblem } = admin
  const host = plain(peer.host, 300)
  const named = isolated(host)
  const problem = problemLine()
  const preview = el('div', {})
  const progress = new Progress(admin)

  /** @param {import('../ask.js').Answer<'RevertReport'>} report from the daemon @param {string} title of it @param {HTMLElement[]} below what follows it */
  const shown = (report, title, ...below) => {
    const heading = el('h4', { tabindex: '-1' }, title)
    preview.replaceChildren(heading, revertReport(admin, report), ...below)
    return heading
  }

  const look = actionButton({
    text: say('previewNow'),
    look: 'primary',
    problem,
    sayProblem,
    run: async () => {
      preview.replaceChildren()
      const report = await progress.follow(host, true)
      const heading = shown(report, say('previewOf', { host: named }), confirmation())
      heading.focus()
    }
  })

  const confirmation = () => {
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
          failed.textContent = say('typeHost', { host: named })
          input.focus()
          return
        }
        const report = await progress.follow(host, false)
        const heading = shown(report, say('revertedReport', { host: named }))
        look.remove()
        before?.remove()
        await changed(host, say('revertDone', { host: named }))
        heading.focus()
      }
    })
    return el('form', {
      class: 'shoal-confirm',
      submit: event => {
        event.preventDefault()
        go.click()
      }
    },
    el('p', {}, say('revertText')),
    el('label', { for: typed }, say('confirmHost')),
    el('div', { id: `${typed}-text`, class: 'form-group-description' }, say('typeHost', { host: named })),
    input, go, failed)
  }

  const before = tooFew(admin, peer, cohort)
  return el('div', { class: 'shoal-taking' },
    el('h3', { tabindex: '-1' }, say('revertOf', { host: named })),
    el('p', {}, say('revertIntro')), before, look, problem, progress.element, preview)
}

/**
 * What to know first where a revert leaves too few peers for a sum.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @param {import('./peer.js').Peer} peer that would go
 * @param {any} cohort whether there are enough peers for a sum
 */
function tooFew ({ say }, peer, cohort) {
  const [mutual, needed] = [figure(cohort?.mutual) ?? 0, figure(cohort?.needed) ?? 0]
  const counts = peer.state === 'approved' && peer.theirs === 'approved'
  if (!counts || mutual < needed || mutual - 1 >= needed) return null
  const [left, missing] = [mutual - 1, needed - mutual + 1]
  return el('p', { class: 'shoal-warning' }, say('revertTooFew', {
    host: isolated(plain(peer.host, 300)), left: number(left), needed: number(needed), missing: number(missing)
  }))
}

/**
 * Reverts that were, each with its report.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @returns {{ content: HTMLElement, reload: () => Promise<void> }} the part
 */
export function earlierReverts (admin) {
  const { page, say, ask } = admin
  const { box, reload } = page.loaded(
    async () => (await ask('GET', 'reverts')).reverts,
    reverts => [block(say('earlierReverts'), reverts.length
      ? el('ul', { class: 'shoal-list' }, ...reverts.map(({ at, host, report }) => el('li', {},
        el('div', { class: 'shoal-peer-head' }, el('strong', {}, own(host)), el('span', { class: 'muted-2' }, moment(figure(at) ?? 0))),
        report?.proof ? el('p', {}, plain(report.proof)) : null,
        report ? folded(say('report'), revertReport(admin, report)) : null)))
      : nothing(say('noReverts')))])
  return { content: box, reload }
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
