import { loadLanguage } from './languages.js'
import { Api } from './lib/api.js'
import { language } from './lib/texts.js'
import { Admin } from './tabs/admin.js'
import { allTabs } from './tabs/all-tabs.js'

/**
 * What the page needs of where it is shown.
 *
 * @typedef {object} Surroundings
 * @property {string} api address that the admin API is below, without a slash at its end
 * @property {() => Record<string, string> | undefined} headers that tell the API who asks, taken anew for each request
 * @property {import('./tabs/plugin.js').Plugin} [plugin] of PeerTube, if it is shown there
 * @property {(error: unknown) => unknown} [failed] is told of each request that failed, before the page says it
 */

/**
 * Show everything that an administrator can see and decide, in the language of the document.
 *
 * @param {HTMLElement} root what it is put into, in place of what is there
 * @param {Surroundings} surroundings where it is shown
 * @returns {Promise<Admin>} the page, when its frame is shown; its tabs load afterwards
 */
export async function showPage (root, { api, headers, plugin, failed = () => {} }) {
  const spoken = await loadLanguage(language())
  const helpers = { translate: spoken.translate, getAuthHeader: headers, getBaseRouterRoute: () => api }
  const requests = new Api(helpers)
  const admin = await Admin.open(helpers, spoken, async (method, path, body, deadline) => {
    try {
      return await requests.request(method, `${api}/${path}`, body, deadline)
    } catch (error) {
      await failed(error)
      throw error
    }
  })
  const { element, start } = allTabs(admin, plugin)
  root.replaceChildren(admin.page.live, element)
  start()
  return admin
}
