import { Admin } from '../control/admin.js'
import { control } from '../control/parts.js'
import { el } from '../lib/dom.js'
import { Page } from '../lib/page.js'
import { diagnostics } from './diagnostics.js'
import { erase } from './erase.js'
import { exclusions } from './exclusions.js'
import { relatedList } from './related-list.js'
import { SENTENCES } from './sentences.js'

const ADMINISTRATOR = 0

/** Parts of the plugin's own tab, from top to bottom. */
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
  const frame = (/** @type {HTMLElement[]} */ ...content) => rootEl.replaceChildren(
    el('div', { class: 'margin-content shoal-page pb-5' }, el('h1', { class: 'title-page' }, page.say('title')), ...content))
  const isAdmin = helpers.isLoggedIn() && helpers.getUser()?.role?.id === ADMINISTRATOR
  if (!isAdmin) {
    frame(el('p', {}, page.say('adminsOnly')))
    return
  }

  const admin = await Admin.open(helpers, (method, path, body, deadline) => (
    page.api.plugin(method, `admin/v1/control/${path}`, body, deadline)))
  const { element, start } = control(admin, [
    { id: 'plugin', title: page.say('plugin'), make: () => ({ content: PARTS.map(part => part(page)) }) }
  ])
  frame(page.live, admin.page.live, element)
  start()
}
