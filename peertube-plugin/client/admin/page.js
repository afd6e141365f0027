import { RequestError, problemText } from '../lib/api.js'
import { actionButton, problemLine } from '../lib/controls.js'
import { el } from '../lib/dom.js'
import { Page } from '../lib/page.js'
import { diagnostics } from './diagnostics.js'
import { erase } from './erase.js'
import { SENTENCES } from './sentences.js'

/** @typedef {import('@peertube/peertube-types/client').RegisterClientHelpers} Helpers */

const ADMINISTRATOR = 0

/**
 * Show the administrators' page: the daemon's own, or without it what is wrong. PeerTube lets everybody open it; what it
 * shows is protected by the routes it asks.
 *
 * @param {Helpers} helpers PeerTube's helpers
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

  const place = el('div', { 'aria-busy': 'true' }, el('p', { class: 'muted-2' }, page.sayLoading('loading')))
  frame(page.live, place)
  await fill(page, place)
}

/**
 * @param {import('./sentences.js').AdminPage} page the page
 * @param {HTMLElement} place for all but its title
 */
async function fill (page, place) {
  try {
    await mountDaemonPage(page, place)
  } catch (error) {
    place.replaceChildren(withoutDaemon(page, error, () => fill(page, place)), diagnostics(page), erase(page))
  } finally {
    place.removeAttribute('aria-busy')
  }
}

/**
 * The page comes from the daemon, under an address that no other version of it has: a daemon that was updated never gets
 * questions from the page of the one before.
 *
 * @param {import('./sentences.js').AdminPage} page the page
 * @param {HTMLElement} place for it
 * @throws {RequestError} when there is none
 */
async function mountDaemonPage (page, place) {
  const { api, helpers } = page
  const base = new URL(helpers.getBaseRouterRoute(), location.origin).href
  const { path } = await api.plugin('GET', 'admin/v1/page') ?? {}
  if (typeof path !== 'string') throw new RequestError('nonsense')
  const module = await import(`${base}/${path}/mounted.js`).catch(() => { throw new RequestError('daemonAway') })
  await module.mount(place, {
    api: `${base}/admin/v1/control`,
    headers: () => helpers.getAuthHeader(),
    plugin: { routes: base, state: () => [diagnostics(page)], leaving: () => [erase(page)] }
  })
}

/**
 * @param {import('./sentences.js').AdminPage} page the page
 * @param {unknown} error why the daemon's page is not here
 * @param {() => Promise<void>} again tries once more
 */
function withoutDaemon (page, error, again) {
  const { say, sayProblem } = page
  const problem = problemLine()
  const button = actionButton({ text: page.sayLoading('retry'), small: true, problem, sayProblem, run: again })
  problem.textContent = problemText(error, sayProblem)
  return page.section(say('away'), problem, el('p', {}, say('awayText')), button)
}
