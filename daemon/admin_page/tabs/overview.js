import { el } from '../lib/dom.js'
import { effects } from './effects.js'
import { jobs } from './jobs.js'
import { waitingForYou } from './notices.js'
import { standing } from './standing.js'
import { timeline, viewersOverTime } from './timeline.js'
import { twoNumbers } from './two-numbers.js'

/**
 * How the instance stands: what waits, what is next, how well it does, what happened.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @returns {import('./tab-list.js').Part} the part
 */
export function overview (admin) {
  const { page, ask } = admin
  const now = page.loaded(
    () => ask('GET', 'overview'),
    found => [
      waitingForYou(admin, found.notices),
      el('div', { class: 'shoal-beside' }, standing(admin, found), twoNumbers(admin, found.measured))
    ])
  const viewers = el('div', {})
  const past = page.loaded(
    () => ask('GET', 'timeline'),
    found => {
      viewers.replaceChildren(viewersOverTime(admin, found))
      return [timeline(admin, found)]
    })
  const work = page.loaded(
    async () => {
      const found = await ask('GET', 'jobs')
      return { found, tell: await admin.errors(found.jobs.flatMap(({ message, advice }) => [message, advice])) }
    },
    ({ found, tell }) => [jobs(admin, found, tell)])
  const achieved = effects(admin)
  return {
    content: [now.box, el('div', { class: 'shoal-beside' }, achieved.content, viewers), past.box, work.box],
    refresh: () => Promise.all([now, past, work, achieved].map(({ reload }) => reload()))
  }
}
