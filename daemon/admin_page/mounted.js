/** Where the page is a part of another one: what PeerTube's plugin imports from the daemon. */
import { el } from './lib/dom.js'
import { showPage } from './page.js'

/** @typedef {import('./page.js').Surroundings} Surroundings */

/** They go with the page: whoever leaves it has them no more. */
const STYLES = ['lib/controls.css', 'page.css']

/**
 * Show the page. The colours are those of PeerTube's theme.
 *
 * @param {HTMLElement} root what it is put into
 * @param {Surroundings} surroundings where it is shown
 * @returns {Promise<void>} when its frame is shown; its tabs load afterwards
 */
export async function mount (root, surroundings) {
  const page = el('div', {})
  const styles = STYLES.map(name => el('link', { rel: 'stylesheet', href: new URL(name, import.meta.url).href }))
  // One that does not come is no reason to show nothing.
  const ready = Promise.all(styles.map(style => new Promise(resolve => {
    style.addEventListener('load', resolve)
    style.addEventListener('error', resolve)
  })))
  root.replaceChildren(...styles)
  await ready
  root.append(page)
  await showPage(page, surroundings)
}
