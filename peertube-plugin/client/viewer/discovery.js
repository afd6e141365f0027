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
  const { box, reload } = dial(page)
  const { say } = page
  return { section: page.section(say('discovery'), el('p', {}, say('discoveryText')), box), reload }
}

/**
 * The choice by itself.
 *
 * @param {import('./sentences.js').ViewerPage} page the page
 * @param {() => void} [changed] called after another was chosen; with it the names have to do, without descriptions
 * @returns {{ box: HTMLElement, reload: () => Promise<void> }} the box, and a function that fills it anew
 */
export function dial (page, changed) {
  const { api, say, sayProblem } = page
  return page.loaded(
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
        { value: '', label: say('discoverySite'), description: changed ? undefined : say('discoverySiteText') },
        ...POSITIONS.map(value => ({ value, label: say(value), description: changed ? undefined : say(`${value}Text`) }))
      ],
      value: chosen ?? '',
      sayProblem,
      save: async value => {
        await api.plugin('PUT', 'viewer/v1/discovery', { discovery: value || null })
        page.announce(say('saved'))
        changed?.()
      }
    })])
}
