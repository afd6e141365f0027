import { RequestError } from '../lib/api.js'
import { savingRadios } from '../lib/controls.js'
import { el } from '../lib/dom.js'

const POSITIONS = /** @type {const} */ (['familiar', 'balanced', 'explore'])

/**
 * How far lists lead this viewer away from what everybody watches.
 *
 * @param {import('./sentences.js').ViewerPage} page the page
 * @returns {{ section: HTMLElement, reload: () => Promise<void> }} the part, and a function that fills it anew
 */
export function discovery (page) {
  const { api, say, sayProblem } = page

  const { box, reload } = page.loaded(
    async () => {
      const chosen = (await api.plugin('GET', 'viewer/v1/discovery'))?.discovery
      if (chosen !== null && !POSITIONS.includes(chosen)) throw new RequestError('nonsense')
      /** @type {typeof POSITIONS[number] | null} */
      const known = chosen
      return known
    },
    chosen => [savingRadios({
      legend: say('discovery'),
      options: [
        { value: '', label: say('discoverySite'), description: say('discoverySiteText') },
        ...POSITIONS.map(value => ({ value, label: say(value), description: say(`${value}Text`) }))
      ],
      value: chosen ?? '',
      sayProblem,
      save: async value => {
        await api.plugin('PUT', 'viewer/v1/discovery', { discovery: value || null })
        page.announce(say('saved'))
      }
    })])

  return { section: page.section(say('discovery'), el('p', {}, say('discoveryText')), box), reload }
}
