import { el } from '../lib/dom.js'
import { ledger } from './ledger.js'
import { block, folded } from './pieces.js'
import { pluginParts } from './plugin.js'
import { rounds } from './rounds.js'
import { level } from './settings-level.js'
import { lists } from './settings-lists.js'
import { mode } from './settings-mode.js'
import { now } from './settings-now.js'
import { shared } from './shared.js'

/** @typedef {import('../ask.ts').Answer<'Settings'>} Settings */
/** @typedef {import('../ask.ts').Answer<'ChoosableSetting'>} ChoosableSetting */

/** What few look at, below everything else; the names are what links lead to. */
const MORE = /** @type {const} */ ({ shared, rounds, ledger })

/**
 * What the administrator decides about the instance, and what is done now; below it what leaves, the rounds and the
 * ledger.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @param {import('./plugin.js').Plugin} [plugin] of PeerTube, if the page is shown there
 * @returns {import('./tab-list.js').Part} the part
 */
export function settings (admin, plugin) {
  const { page, say, ask } = admin
  const [below, place] = [el('div', {}), el('div', {})]
  const jobs = now(admin)
  const { box, reload } = page.loaded(
    () => ask('GET', 'settings'),
    found => {
      if (!plugin) place.replaceChildren(...elsewhere(admin, found))
      const changed = async () => {
        await reload()
        page.announce(say('changed'))
        void jobs.refresh()
      }
      below.replaceChildren(lists(admin, found))
      return [mode(admin, found, changed), level(admin, found, changed)]
    })
  const parts = Object.entries(MORE).map(([name, make]) => further(admin, name, make))
  if (plugin) void pluginParts(admin, plugin).then(found => { place.append(...found) })
  return {
    content: [box, jobs.element, below, place, block(say('moreParts'), ...parts.map(part => part.box))],
    refresh: () => Promise.all([reload(), jobs.refresh(), ...parts.map(part => part.refresh())]),
    about: subject => {
      const found = parts.find(({ name }) => name === subject)
      if (!found) return
      found.box.open = true
      found.box.querySelector('summary')?.focus()
    }
  }
}

/**
 * A part that is made when it is first opened.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @param {string} name of it
 * @param {(admin: import('./admin.js').Admin) => import('./tab-list.js').Part} make makes it
 */
function further (admin, name, make) {
  /** @type {import('./tab-list.js').Part | null} */
  let part = null
  const box = folded(admin.say(`tab_${/** @type {keyof typeof MORE} */ (name)}`))
  box.addEventListener('toggle', () => {
    if (!box.open || part) return
    part = make(admin)
    box.append(...part.content)
  })
  return { name, box, refresh: () => box.open ? part?.refresh?.() : undefined }
}

/**
 * Where the plugin's parts are, for whoever looks at the daemon's own page.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @param {Settings} found the settings
 */
function elsewhere ({ say }, { host, real }) {
  if (!real) return []
  const address = `https://${host}/p/shoal`
  return [block(say('insidePeerTube'), el('p', {}, say('insidePeerTubeText'), ' ',
    el('a', { class: 'pt', href: address, rel: 'noreferrer' }, address)))]
}

/**
 * One of the settings.
 *
 * @param {Settings} found all of them
 * @param {ChoosableSetting['key']} key which
 * @returns {ChoosableSetting} it
 */
export function settingOf (found, key) {
  const setting = found.settings.find(one => one.key === key)
  if (!setting) throw new TypeError(`no ${key} in the answer`)
  return setting
}
