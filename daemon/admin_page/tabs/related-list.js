import { savingSwitch } from '../lib/controls.js'
import { el } from '../lib/dom.js'

const PLUGIN = 'plugins/peertube-plugin-shoal'
/** The plugin's settings that are changed here, with what is said of them. */
const SWITCHES = /** @type {const} */ ([
  { setting: 'related-list', label: 'related', description: 'relatedText' },
  { setting: 'invitation', label: 'inviteViewers', description: 'inviteViewersText' }
])

/**
 * Related videos, and the question whether viewers take part, on or off, without leaving for the settings page.
 *
 * @param {import('./admin.js').AdminPage} page the page
 * @returns {HTMLElement} the part of the page
 */
export function relatedList (page) {
  const { api, say, sayProblem } = page
  const stored = async () => (await api.peertube('GET', PLUGIN))?.settings ?? {}

  const { box } = page.loaded(stored, settings => SWITCHES.map(({ setting, label, description }) => savingSwitch({
    label: say(label),
    description: say(description),
    checked: settings[setting] !== false,
    sayProblem,
    save: async wanted => {
      // PeerTube replaces all settings at once, so what is stored now goes back with it.
      await api.peertube('PUT', `${PLUGIN}/settings`, { settings: { ...await stored(), [setting]: wanted } })
      page.announce(say('saved'))
    }
  })))

  return page.section(say('list'), box,
    el('p', {}, el('a', { class: 'pt', href: '/admin/settings/plugins/show/peertube-plugin-shoal' }, say('settings'))))
}
