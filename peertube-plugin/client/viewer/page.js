import { listIn } from '../lib/api.js'
import { el } from '../lib/dom.js'
import { Page } from '../lib/page.js'
import { channels } from './channels.js'
import { choice } from './choice.js'
import { discovery } from './discovery.js'
import { hidden } from './hidden.js'
import { known } from './known.js'
import { SENTENCES } from './sentences.js'
import { together } from './together.js'
import { what } from './what.js'
import { withdraw } from './withdraw.js'

/**
 * What holds on this instance for everyone.
 *
 * @typedef {object} About
 * @property {'opt-in' | 'opt-out'} consent whether viewers must opt in or may opt out
 * @property {boolean | null} exact whether suggestions may rest on exact numbers of viewers, `null` while nobody can tell
 * @property {string | null} mode what the instance exchanges with others, `null` while nobody can tell
 * @property {string[]} peers hosts that receive sums
 * @property {number | null} next when likes and views are read next, Unix seconds, `null` while nobody can tell
 */

/**
 * Show the viewer's own page in My account.
 *
 * @param {import('@peertube/peertube-types/client').RegisterClientHelpers} helpers PeerTube's helpers
 * @param {HTMLElement} rootEl where it goes
 * @returns {Promise<void>} when its frame is shown; its parts load afterwards
 */
export async function show (helpers, rootEl) {
  const page = await Page.open(helpers, SENTENCES)
  const { say } = page

  if (!helpers.isLoggedIn()) {
    rootEl.replaceChildren(el('p', { class: 'shoal-page' }, say('loggedOut')))
    return
  }

  const about = shared(async () => {
    const answer = await page.api.plugin('GET', 'viewer/v1/about')
    /** @type {About} */
    const complete = { ...answer, peers: listIn(answer, 'peers') }
    return complete
  })

  const chosen = choice(page, about)
  const knownPart = known(page)
  const discoveryPart = discovery(page)
  const hiddenPart = hidden(page)

  rootEl.replaceChildren(el('div', { class: 'shoal-page' },
    page.live,
    el('p', { class: 'shoal-intro' }, say('intro'), ' ', el('a', { class: 'pt', href: '/p/shoal/for-you' }, say('toForYou'))),
    what(page, about),
    chosen.section,
    together(page, about),
    knownPart.section,
    discoveryPart.section,
    hiddenPart.section,
    channels(page),
    withdraw(page, () => {
      knownPart.clear()
      void chosen.reload()
      void discoveryPart.reload()
      void hiddenPart.reload()
    })))
}

/**
 * Ask once for callers that come together; after a failure the next caller asks anew.
 *
 * @template T
 * @param {() => Promise<T>} ask gets the data
 * @returns {() => Promise<T>} the same, asked once
 */
function shared (ask) {
  /** @type {Promise<T> | null} */
  let answer = null
  return () => {
    answer ??= ask().catch(error => {
      answer = null
      throw error
    })
    return answer
  }
}
