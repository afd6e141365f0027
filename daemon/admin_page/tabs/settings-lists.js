import { savingRadios, savingSwitch } from '../lib/controls.js'
import { el } from '../lib/dom.js'
import { block } from './pieces.js'
import { settingOf } from './settings.js'
import { origin } from './settings-mode.js'

/** @typedef {NonNullable<import('../ask.ts').Answer<'ChosenSettings'>['discovery']>} Discovery */

/**
 * Whether jobs run by themselves, and how far suggestions lead where a viewer has not chosen.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @param {import('./settings.js').Settings} found the settings
 * @returns {HTMLElement} the part
 */
export function lists (admin, found) {
  const { page, say, sayProblem, ask } = admin
  const schedule = settingOf(found, 'schedule.enabled')
  const discovery = settingOf(found, 'serve.discovery')
  const saved = () => { page.announce(say('changed')) }
  return block(say('scheduleTitle'),
    savingSwitch({
      label: say('scheduleSwitch'),
      description: `${say('scheduleText')} ${origin(admin, schedule)}`,
      checked: schedule.value === true,
      disabled: schedule.locked,
      sayProblem,
      save: async wanted => {
        await ask('POST', 'settings', { schedule: wanted }, 60_000)
        saved()
      }
    }),
    el('h3', {}, say('discoveryTitle')),
    el('p', {}, say('discoveryText'), ' ', origin(admin, discovery)),
    discovery.locked
      ? el('p', {}, say(`discovery_${/** @type {Discovery} */ (discovery.value)}`))
      : savingRadios({
        legend: say('discoveryTitle'),
        options: discovery.options.map(({ value }) => {
          const known = /** @type {Discovery} */ (value)
          return { value: known, label: say(`discovery_${known}`), description: say(`discovery_${known}_text`) }
        }),
        value: String(discovery.value),
        sayProblem,
        save: async value => {
          await ask('POST', 'settings', { discovery: /** @type {Discovery} */ (value) }, 60_000)
          saved()
        }
      }))
}
