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
 * The plugin's parts: its related list and what is never suggested, between what it shows itself.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @param {Plugin} plugin that is there
 * @returns {Promise<HTMLElement[]>} the parts
 */
export async function pluginParts ({ page: { helpers, say } }, plugin) {
  const page = await Page.speaking({ ...helpers, getBaseRouterRoute: () => plugin.routes }, say)
  return [page.live, ...plugin.state(), relatedList(page), exclusions(page), ...plugin.leaving()]
}
