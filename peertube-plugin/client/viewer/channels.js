import { savingSwitch } from '../lib/controls.js'
import { el } from '../lib/dom.js'
import { channelName } from '../lib/ids.js'
import { isolated } from '../lib/texts.js'

/**
 * For people with channels: take their videos out of suggestions.
 *
 * @param {import('./sentences.js').ViewerPage} page the page
 * @returns {HTMLElement | null} the part of the page, `null` for people without a channel
 */
export function channels (page) {
  const { api, say, sayProblem, helpers } = page
  const own = helpers.getUser()?.videoChannels ?? []
  if (own.length === 0) return null

  const names = new Map(own.map(channel => [channel.url, channel.displayName]))
  const { box } = page.loaded(
    async () => {
      /** @type {{ channels: Record<string, boolean> }} */
      const { channels } = await api.plugin('GET', 'owner/v1/channels')
      return channels
    },
    excluded => Object.entries(excluded).map(([url, out]) => savingSwitch({
      label: say('takeOut', { name: isolated(names.get(url) ?? channelName(url)) }),
      checked: out === true,
      sayProblem,
      save: async wanted => {
        await api.plugin('PUT', 'owner/v1/channels', { channels: { [url]: wanted } })
        page.announce(say('saved'))
      }
    })))

  return page.section(say('channels'), el('p', {}, say('channelsText')), box)
}
