import { lookup } from './lookup.js'
import { models } from './models.js'
import { overview } from './overview.js'
import { peers } from './peers.js'
import { settings } from './settings.js'
import { tabList } from './tab-list.js'

/**
 * Everything an administrator can see and decide, as tabs.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @param {import('./plugin.js').Plugin} [plugin] of PeerTube, if the page is shown there
 * @returns {{ element: HTMLElement, start: () => void }} the tabs, and a function that opens the one in the address
 */
export function allTabs (admin, plugin) {
  /** From first to last; the name is in the address. */
  const tabs = /** @type {const} */ ({
    overview, peers, models, lookup, settings: (/** @type {typeof admin} */ given) => settings(given, plugin)
  })
  const names = /** @type {(keyof typeof tabs)[]} */ (Object.keys(tabs))
  const { element, go, start } = tabList(admin.say('parts'), names.map(id => (
    { id, title: admin.say(`tab_${id}`), make: () => tabs[id](admin) })))
  admin.go = go
  return { element, start }
}
