import { savingSwitch } from '../lib/controls.js'
import { el } from '../lib/dom.js'

/**
 * Take part or not, and what holds on this instance.
 *
 * @param {import('./sentences.js').ViewerPage} page the page
 * @param {() => Promise<import('./page.js').About>} about what holds on this instance
 * @returns {{ section: HTMLElement, reload: () => Promise<void> }} the part, and a function that fills it anew
 */
export function choice (page, about) {
  const { api, say, sayProblem, helpers } = page

  const { box, reload } = page.loaded(
    async () => {
      const [rules, chosen] = await Promise.all([about(), api.plugin('GET', 'viewer/v1/choice')])
      const current = { training: chosen.training === true, personal: chosen.personal === true }
      return { rules, current, history: chosen.history }
    },
    ({ rules, current, history }) => {
      const historyOn = history ?? helpers.getUser()?.videosHistoryEnabled ?? true

      /** @type {(change: Partial<typeof current>) => Promise<void>} */
      const save = async change => {
        const wanted = { ...current, ...change }
        await api.plugin('PUT', 'viewer/v1/choice', wanted)
        Object.assign(current, wanted)
        page.announce(say('saved'))
      }

      return [
        el('p', {}, say(rules.consent === 'opt-out' ? 'optOut' : 'optIn'), ' ', say('history')),
        historyOn
          ? null
          : el('div', { class: 'alert pt-alert-primary' }, say('historyOff'), ' ',
            el('a', { class: 'alert-link', href: '/my-account/settings' }, say('historySettings'))),
        savingSwitch({
          label: say('training'),
          description: say('trainingText'),
          checked: current.training,
          sayProblem,
          save: training => save({ training })
        }),
        savingSwitch({
          label: say('personal'),
          description: say('personalText'),
          checked: current.personal,
          sayProblem,
          save: personal => save({ personal })
        })
      ]
    })

  return { section: page.section(say('choice'), box), reload }
}
