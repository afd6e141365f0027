import { group } from './group.js'
import { ledger } from './ledger.js'
import { lookup } from './lookup.js'
import { models } from './models.js'
import { overview } from './overview.js'
import { peers } from './peers.js'
import { revert } from './revert.js'
import { rounds } from './rounds.js'
import { shared } from './shared.js'
import { tabList } from './tab-list.js'

/** From first to last; the name is in the address. */
const TABS = /** @type {const} */ ({ overview, peers, group, shared, rounds, models, ledger, lookup, revert })

/**
 * Everything an administrator can see and decide, as tabs.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @param {import('./tab-list.js').Tab[]} further tabs of the surroundings, shown last
 * @returns {{ element: HTMLElement, start: () => void }} the tabs, and a function that opens the one in the address
 */
export function allTabs (admin, further = []) {
  const names = /** @type {(keyof typeof TABS)[]} */ (Object.keys(TABS))
  const tabs = names.map(id => ({ id, title: admin.say(`tab_${id}`), make: () => TABS[id](admin) }))
  const { element, go, start } = tabList(admin.say('parts'), [...tabs, ...further])
  admin.go = go
  return { element, start }
}
