import { el } from '../lib/dom.js'
import { ledger } from './ledger.js'
import { block, folded } from './pieces.js'
import { pluginParts } from './plugin.js'
import { rounds } from './rounds.js'
import { shared } from './shared.js'

/** What few look at, below everything else; the names are what links lead to. */
const MORE = /** @type {const} */ ({ shared, rounds, ledger })

/**
 * What can be set, and below it what leaves, the rounds and the ledger.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @param {import('./plugin.js').Plugin} [plugin] of PeerTube, if the page is shown there
 * @returns {import('./tab-list.js').Part} the part
 */
export function settings (admin, plugin) {
  const parts = Object.entries(MORE).map(([name, make]) => {
    /** @type {import('./tab-list.js').Part | null} */
    let part = null
    const box = folded(admin.say(`tab_${/** @type {keyof typeof MORE} */ (name)}`))
    box.addEventListener('toggle', () => {
      if (!box.open || part) return
      part = make(admin)
      box.append(...part.content)
    })
    return { name, box, refresh: () => box.open ? part?.refresh?.() : undefined }
  })
  const place = el('div', {})
  if (plugin) void pluginParts(admin, plugin).then(found => { place.append(...found) })
  return {
    content: [place, block(admin.say('moreParts'), ...parts.map(({ box }) => box))],
    refresh: () => Promise.all(parts.map(({ refresh }) => refresh())),
    about: subject => {
      const found = parts.find(({ name }) => name === subject)
      if (!found) return
      found.box.open = true
      found.box.querySelector('summary')?.focus()
    }
  }
}
