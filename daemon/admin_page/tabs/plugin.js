import { Page } from '../lib/page.js'
import { exclusions } from './exclusions.js'
import { relatedList } from './related-list.js'

/**
 * What PeerTube's plugin has on the page.
 *
 * @typedef {object} Plugin
 * @property {string} routes address that its routes are below, without a slash at its end
 * @property {() => HTMLElement[]} state makes what it shows first: whether it works
 * @property {() => HTMLElement[]} leaving makes what it shows last: what to do before it is removed
 */

/**
 * The tab of the plugin: its related list and what is never suggested, between what it shows itself.
 *
 * @param {import('../lib/page.js').Helpers} helpers of the page
 * @param {import('../languages.js').Say} say the page's sentences
 * @param {Plugin} plugin that is there
 * @returns {Promise<import('./tab-list.js').Tab>} the tab
 */
export async function pluginTab (helpers, say, { routes, state, leaving }) {
  const page = await Page.speaking({ ...helpers, getBaseRouterRoute: () => routes }, say)
  return {
    id: 'plugin',
    title: say('plugin'),
    make: () => ({ content: [page.live, ...state(), relatedList(page), exclusions(page), ...leaving()] })
  }
}
