import { el } from '../lib/dom.js'
import { moment } from './numbers.js'
import { badge, block, figure, nothing, plain, table } from './pieces.js'

const NAMES = /** @type {const} */ ([
  'sync', 'train', 'round', 'group-round', 'group-learn', 'consent', 'peers', 'prune', 'revert', 'contribution', 'catch-up', 'group-nodes'
])

/**
 * What the daemon does by itself: how each job stands, when it ran, when it runs next.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @param {any} found from the daemon
 * @param {(text: string) => string} tell says the daemon's errors
 * @returns {HTMLElement} the part
 */
export function jobs ({ say }, found, tell) {
  /** @type {any[]} */
  const all = found.jobs
  return block(say('jobs'),
    found.alive ? null : el('p', { class: 'shoal-warning' }, say('jobsNoDaemon')),
    all.length
      ? table(say('jobs'), [say('job'), say('state'), say('lastRun'), say('nextRun')], all.map(job => [
        jobName(say, job.job), state(say, job, tell),
        figure(job.ended) === null ? say('never') : moment(job.ended),
        figure(job.next) === null ? '–' : moment(job.next)
      ]))
      : nothing(say('noJobs')))
}

/**
 * @param {import('./admin.js').Admin['say']} say the page's sentences
 * @param {unknown} job its name
 */
function jobName (say, job) {
  const known = NAMES.find(name => name === job)
  return known ? say(`job_${known}`) : plain(job, 40)
}

/**
 * @param {import('./admin.js').Admin['say']} say the page's sentences
 * @param {any} job from the daemon
 * @param {(text: string) => string} tell says the daemon's errors
 */
function state (say, { running, outcome, message, advice }, tell) {
  if (figure(running) !== null) return el('span', {}, badge(say('jobRunning'), 'yellow'), ' ', say('since', { moment: moment(running) }))
  if (outcome === 'done') return badge(say('jobDone'), 'green')
  if (outcome !== 'failed') return badge(say('jobWaits'), 'secondary')
  const told = [message, advice].map(tell).filter(Boolean)
  return el('div', {}, badge(say('jobFailed'), 'red'),
    ...(told.length ? told : [say('jobBug')]).map(text => el('p', {}, text)))
}
