import { el } from '../lib/dom.js'
import { Page } from '../lib/page.js'
import { diagnostics } from './diagnostics.js'
import { erase } from './erase.js'
import { exclusions } from './exclusions.js'
import { relatedList } from './related-list.js'
import { SENTENCES } from './sentences.js'

const ADMINISTRATOR = 0

/** Parts of the page, from top to bottom. */
const PARTS = [diagnostics, relatedList, exclusions, erase]

/**
 * Show the administrators' page. PeerTube lets everybody open it; what it shows is protected by the routes it asks.
 *
 * @param {import('@peertube/peertube-types/client').RegisterClientHelpers} helpers PeerTube's helpers
 * @param {HTMLElement} rootEl where it goes
 * @returns {Promise<void>} when its frame is shown; its parts load afterwards
 */
export async function show (helpers, rootEl) {
  const page = await Page.open(helpers, SENTENCES)
  const isAdmin = helpers.isLoggedIn() && helpers.getUser()?.role?.id === ADMINISTRATOR

  rootEl.replaceChildren(el('div', { class: 'margin-content shoal-page pb-5' },
    page.live,
    el('h1', { class: 'title-page' }, page.say('title')),
    ...(isAdmin ? PARTS.map(part => part(page)) : [el('p', {}, page.say('adminsOnly'))])))
}
