import { listIn } from '../lib/api.js'
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
  if (!helpers.getUser()?.videoChannels?.length) return null

  const { box } = page.loaded(
    async () => {
      /** @type {{ url: string, name: string, excluded: boolean }[]} */
      const own = listIn(await api.plugin('GET', 'owner/v1/channels'), 'channels')
      return own
    },
    own => own.map(({ url, name, excluded }) => savingSwitch({
      label: say('takeOut', { name: isolated(name || channelName(url)) }),
      checked: excluded === true,
      sayProblem,
      save: async wanted => {
        await api.plugin('PUT', 'owner/v1/channels', { [url]: wanted })
        page.announce(say('saved'))
      }
    })))

  return page.section(say('channels'), el('p', {}, say('channelsText')), box)
}
