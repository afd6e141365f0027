import { el } from '../lib/dom.js'
import { number } from '../lib/texts.js'
import { choiceCards } from './choice-cards.js'
import { size } from './numbers.js'
import { block, facts, folded, names, plain } from './pieces.js'
import { settingOf } from './settings.js'

/** The kinds of data with numbers of own viewers; they leave from a contribution alone. */
const OF_VIEWERS = ['counts', 'pairs']

/**
 * What the instance does in federation: four cards, and a dry look at what would leave before anything does.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @param {import('./settings.js').Settings} found the settings
 * @param {() => Promise<void>} changed is called when another mode holds
 * @returns {HTMLElement} the part
 */
export function mode (admin, found, changed) {
  const { say, ask } = admin
  const setting = settingOf(found, 'mode')
  return block(say('mode'),
    el('p', {}, say('settingsModeText'), ' ', origin(admin, setting)),
    choiceCards(admin, {
      legend: say('mode'),
      holds: String(setting.value),
      locked: setting.locked,
      cards: setting.options.map(({ value, problem, confirm }) => {
        const known = /** @type {import('../ask.ts').Answer<'Overview'>['mode']} */ (value)
        return { value: known, name: say(`choose_${known}`), text: say(`choose_${known}_text`), problem, confirm }
      }),
      apply: 'apply_mode',
      question: 'confirmMode',
      preview: ({ value }) => value === 'contribute' ? [dryLook(admin)] : [el('p', {}, say('dryNothing'))],
      save: async (value, agreed) => {
        await ask('POST', 'settings', { mode: /** @type {'off'} */ (value), agreed }, 60_000)
        await changed()
      }
    }))
}

/**
 * Where a setting comes from.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @param {import('./settings.js').ChoosableSetting} setting which
 * @returns {string} a sentence, empty for a default
 */
export function origin ({ say }, { origin: from, locked }) {
  if (locked) return say('setByVariable', { origin: from })
  return from === 'shoal.toml' ? say('setBy', { origin: from }) : ''
}

/**
 * What would leave, in short; the tab has all of it further below.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @returns {HTMLElement} the look
 */
function dryLook (admin) {
  const { page, say, ask } = admin
  const { box } = page.loaded(
    () => {
      // The daemon counts anew what would leave, which takes a while with many viewers.
      return ask('GET', 'share', undefined, 120_000)
    },
    ({ kinds, next }) => {
      const told = (/** @type {typeof kinds} */ some) => el('dl', { class: 'shoal-kinds' },
        ...some.flatMap(({ name, sentence }) => [el('dt', {}, plain(name)), el('dd', {}, plain(sentence))]))
      return [
        el('p', { class: 'muted-2' }, say('dryText')),
        facts([
          [say('dryViewers'), number(next.users)],
          [say('dryVideos'), number(next.total)],
          [say('dryTo'), names(next.aggregators, say('dryToNobody'))],
          [say('drySize'), size(next.bytes_at_most)]
        ]),
        told(kinds.filter(({ id }) => OF_VIEWERS.includes(id))),
        folded(say('dryKinds', { count: number(kinds.length) }), told(kinds))
      ]
    })
  return el('div', { class: 'shoal-dry' }, el('h3', {}, say('dryLook')), box)
}
