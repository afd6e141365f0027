import { el } from '../lib/dom.js'
import { number, percent } from '../lib/texts.js'
import { choiceCards } from './choice-cards.js'
import { decimal, size } from './numbers.js'
import { block, facts, plain } from './pieces.js'
import { settingOf } from './settings.js'
import { origin } from './settings-mode.js'

/** @typedef {import('../ask.ts').Answer<'LevelPlans'>} LevelPlans */
/** @typedef {import('../ask.ts').Answer<'PlanOfLevel'>} PlanOfLevel */

/**
 * The privacy level: cards with what each costs and what it is worth, as soon as the daemon has reckoned it.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @param {import('./settings.js').Settings} found the settings
 * @param {() => Promise<void>} changed is called when another level holds
 * @returns {HTMLElement} the part
 */
export function level (admin, found, changed) {
  const { page, say, ask } = admin
  const setting = settingOf(found, 'privacy.level')
  // What is refused for real viewers is no choice for them.
  const options = setting.options.filter(({ value }) => !found.real || value !== 'none' || value === setting.value)
  const places = new Map(options.map(({ value }) => [value, el('div', {})]))
  const plans = page.loaded(
    () => ask('GET', 'settings/levels', undefined, 120_000),
    answer => {
      for (const plan of answer.levels) places.get(plan.level)?.replaceChildren(...planOf(admin, plan, answer))
      return [el('p', { class: 'muted-2' }, say('planFor', { aggregators: number(answer.aggregators), members: number(answer.members) }))]
    })
  return block(say('levelTitle'),
    el('p', {}, say('levelText'), ' ', origin(admin, setting)),
    choiceCards(admin, {
      legend: say('levelTitle'),
      holds: String(setting.value),
      locked: setting.locked,
      cards: options.map(({ value, problem, confirm }) => {
        const known = /** @type {PlanOfLevel['level']} */ (value)
        return {
          value: known, name: say(`levelName_${known}`), text: say(`level_${known}_text`), problem, confirm,
          more: [places.get(value) ?? null]
        }
      }),
      apply: 'apply_level',
      question: 'confirmLevel',
      preview: () => [],
      save: async (value, agreed) => {
        await ask('POST', 'settings', { level: /** @type {PlanOfLevel['level']} */ (value), agreed }, 60_000)
        await changed()
      }
    }),
    plans.box)
}

/**
 * @param {import('./admin.js').Admin} admin the page
 * @param {PlanOfLevel} plan of one level
 * @param {LevelPlans} all what is the same for all
 * @returns {Node[]} its numbers
 */
function planOf ({ say }, plan, { bytes_month: bytes }) {
  const epsilon = (/** @type {number | string} */ value) => typeof value === 'number' ? decimal(value, 1) : say('planInfinite')
  return [
    facts([
      [say('planWindow'), epsilon(plan.epsilon_window)],
      [say('planYear'), epsilon(plan.epsilon_year)],
      [say('planNoise'), `± ${decimal(plan.noise, 1)}`],
      [say('planBytes'), size(bytes)],
      ...plan.quality.map(({ data, value, without_noise: without }) => (
        /** @type {[string, string]} */ ([say('planQuality', { data: plain(data, 60) }), percent(value / without)])))
    ]),
    ...plan.offered ? [] : [el('p', { class: 'muted-2' }, say('planAudience', { count: number(plan.audience_needed) }))]
  ]
}
