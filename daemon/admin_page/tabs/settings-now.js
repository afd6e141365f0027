import { actionButton, problemLine } from '../lib/controls.js'
import { el } from '../lib/dom.js'
import { moment } from './numbers.js'
import { block } from './pieces.js'

/** @typedef {import('../ask.ts').Answer<'StartableJob'>} Job */

const [SOON, LATER] = [1500, 15_000]

/**
 * Sync, training and round: how each stands, and a button that starts it. It looks again by itself while it is seen.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @returns {{ element: HTMLElement, refresh: () => Promise<void> }} the part, and a function that looks again
 */
export function now (admin) {
  const { page, say, ask } = admin
  /** @type {Map<Job['job'], ReturnType<typeof row>>} */
  const rows = new Map()
  const list = el('ul', { class: 'shoal-list' })
  let timer = 0

  const show = async (/** @type {Job[]} */ jobs) => {
    const tell = await admin.errors(jobs.flatMap(({ last }) => last ? [last.problem, last.advice] : []))
    for (const job of jobs) {
      let known = rows.get(job.job)
      if (!known) {
        known = row(admin, job.job, async () => {
          await show((await ask('POST', 'start', { job: job.job })).jobs)
          page.announce(say('jobStarted'))
        })
        rows.set(job.job, known)
        list.append(known.element)
      }
      known.show(job, tell)
    }
    clearTimeout(timer)
    timer = window.setTimeout(again, jobs.some(({ running, waits }) => running !== null || waits) ? SOON : LATER)
  }
  const again = async () => {
    // PeerTube keeps the window when it shows another page: this one is over then.
    if (!list.isConnected) return
    const seen = document.visibilityState === 'visible' && list.checkVisibility()
    try {
      if (seen) await show((await ask('GET', 'start')).jobs)
      else timer = window.setTimeout(again, SOON)
    } catch {
      // What was shown stays; the daemon may be back in a moment.
      timer = window.setTimeout(again, LATER)
    }
  }

  const { box, reload } = page.loaded(() => ask('GET', 'start'), ({ jobs }) => {
    void show(jobs)
    return [list]
  })
  return { element: block(say('nowTitle'), el('p', {}, say('nowText')), box), refresh: reload }
}

/**
 * One job. Its button stays the same while what is said of it changes, so that the keyboard stays where it is.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @param {Job['job']} name of it
 * @param {() => Promise<void>} run starts it
 */
function row (admin, name, run) {
  const { say, tell, sayProblem } = admin
  const problem = problemLine()
  const button = actionButton({ text: say(`start_${name}`), problem, sayProblem, run })
  const state = el('p', { class: 'shoal-job-state' })
  const bar = el('progress', { max: '1', 'aria-label': say(`job_${name}`), hidden: true })
  const last = el('p', { class: 'muted-2' })
  const element = el('li', { class: 'shoal-job' },
    el('div', {}, el('h3', {}, say(`job_${name}`)), el('p', {}, say(`job_${name}_text`)), state, bar, last),
    el('div', {}, button, problem))

  return {
    element,
    show: (/** @type {Job} */ job, /** @type {(text: string) => string} */ told) => {
      const busy = job.running !== null || job.waits
      // Not disabled: the keyboard would lose its place.
      button.hidden = job.refused !== null && !busy
      if (busy) button.setAttribute('aria-disabled', 'true')
      else button.removeAttribute('aria-disabled')
      state.textContent = stateOf(admin, job)
      bar.hidden = job.running === null
      if (job.progress === null) bar.removeAttribute('value')
      else bar.value = job.progress
      last.textContent = lastOf(admin, job, told)
    }
  }

  /**
   * @param {import('./admin.js').Admin} _admin the page
   * @param {Job} job of the daemon
   */
  function stateOf (_admin, { running, waits, refused, next }) {
    if (running !== null) return say('nowRunning', { at: moment(running) })
    if (waits) return say('nowWaits')
    const planned = next === null ? '' : say('jobNext', { at: moment(next) })
    return [refused ? tell(refused) : '', planned].filter(Boolean).join(' ')
  }
}

/**
 * @param {import('./admin.js').Admin} admin the page
 * @param {Job} job of the daemon
 * @param {(text: string) => string} told says the daemon's errors
 * @returns {string} how it ended last
 */
function lastOf ({ say, tell }, { last }, told) {
  if (last === null) return say('jobNeverRan')
  const why = [last.problem, last.advice].map(told).filter(Boolean).map(text => /[.!?]$/.test(text) ? text : `${text}.`).join(' ')
  const what = last.ok ? last.sentence ? tell(last.sentence) : say('nowDone') : say('nowFailed', { why })
  return say('jobLast', { at: moment(last.at), what })
}
