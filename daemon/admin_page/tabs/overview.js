import { listIn } from '../lib/api.js'
import { el } from '../lib/dom.js'
import { effects } from './effects.js'
import { jobs } from './jobs.js'
import { waitingForYou } from './notices.js'
import { many, plain } from './pieces.js'
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
    async () => {
      const found = await ask('GET', 'overview')
      /** @type {import('./notices.js').Notice[]} */
      const notices = listIn(found, 'notices')
      return { found, notices, told: await toldBy(admin, found, notices) }
    },
    ({ found, notices, told }) => [
      waitingForYou(admin, notices, told),
      el('div', { class: 'shoal-beside' }, standing(admin, found, told), twoNumbers(admin, found.measured))
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
      const tell = await admin.told(listIn(found, 'jobs').flatMap((/** @type {any} */ job) => (
        /** @type {[unknown][]} */ ([[job.message], [job.advice]]))))
      return { found, tell }
    },
    ({ found, tell }) => [jobs(admin, found, tell)])
  const achieved = effects(admin)
  return {
    content: [now.box, el('div', { class: 'shoal-beside' }, achieved.content, viewers), past.box, work.box],
    refresh: () => Promise.all([now, past, work, achieved].map(({ reload }) => reload()))
  }
}

/**
 * @param {import('./admin.js').Admin} admin the page
 * @param {any} found the overview
 * @param {import('./notices.js').Notice[]} notices of it
 * @returns {Promise<import('./notices.js').Told>} says any sentence of it
 */
async function toldBy (admin, found, notices) {
  const tell = await admin.told([
    [found?.cohort?.sentence],
    ...many(found?.next).map(({ cause }) => /** @type {[unknown]} */ ([cause])),
    ...notices.flatMap(({ sentence, advice, subject }) => (
      /** @type {[unknown, string][]} */ ([[sentence, plain(subject)], [advice, plain(subject)]])))
  ])
  return sentence => typeof sentence?.code === 'string' ? admin.tell(sentence) : tell(sentence)
}
