import { actionButton, confirmed, problemLine } from '../lib/controls.js'
import { el } from '../lib/dom.js'
import { acceptanceReport } from './acceptance.js'
import { qualityChart, stateText } from './chart.js'
import { modelLists } from './model-lists.js'
import { decimal, moment } from './numbers.js'
import { badge, block, code, facts, figure, folded, many, names, nothing, plain } from './pieces.js'

/** @typedef {{ id: string, created: number, kind: string, state: string, survivors: string[], quality: Record<string, unknown> | null, report: any, current: boolean }} Model */

/** What quality a model has, as the daemon measures it. */
const QUALITY = 'held_out_ndcg10'

/**
 * Trained models: those that wait for a decision with all that is known of them, then the others.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @returns {import('./tab-list.js').Part} the part
 */
export function models (admin) {
  const { page, say, ask } = admin
  /** @type {Map<string, HTMLElement>} */
  let entries = new Map()
  const waits = (/** @type {Model} */ { state }) => state === 'awaiting' || state === 'quarantined'

  const { box, reload } = page.loaded(
    async () => {
      const [answer, { quality }] = await Promise.all([ask('GET', 'models'), ask('GET', 'overview')])
      /** @type {Model[]} */
      return { found: answer.models, quality }
    },
    ({ found, quality }) => {
      entries = new Map(found.map(model => [model.id, entry(admin, model, decided)]))
      const list = (/** @type {Model[]} */ group) => el('ul', { class: 'shoal-list shoal-cards' },
        ...group.map(({ id }) => /** @type {HTMLElement} */ (entries.get(id))))
      const [waiting, others] = [found.filter(waits), found.filter(model => !waits(model))]
      return [
        waiting.length ? block(say('modelsWaiting'), el('p', {}, say('modelsWaitingText')), list(waiting)) : null,
        block(say('quality'), el('p', {}, say('qualityText')), qualityChart(admin, many(quality))),
        block(say('models'), others.length ? list(others) : nothing(say('noModels')))
      ]
    })

  const decided = async (/** @type {string} */ id, /** @type {string} */ news) => {
    await reload()
    entries.get(id)?.focus()
    page.announce(news)
  }

  return {
    content: [box],
    refresh: reload,
    about: async id => {
      await reload()
      const wanted = entries.get(id) ?? box.querySelector('h2')
      wanted?.focus()
    }
  }
}

/**
 * @param {import('./admin.js').Admin} admin the page
 * @param {Model} model from the daemon
 * @param {(id: string, news: string) => Promise<void>} decided called after a decision
 */
function entry (admin, model, decided) {
  const { say } = admin
  const waiting = model.state === 'awaiting' || model.state === 'quarantined'
  const quality = figure(model.quality?.[QUALITY])
  const problem = problemLine()
  const reported = many(model.report?.checks).length > 0
  const report = folded(say('report'), reported ? acceptanceReport(admin, model.report) : nothing(say('noReport')))
  report.open = waiting

  return el('li', { class: 'shoal-peer', tabindex: '-1' },
    el('div', { class: 'shoal-peer-head' },
      el('h3', {}, say(model.kind === 'federated' ? 'servedFederated' : 'servedLocal')),
      badge(model.current ? say('stateCurrent') : stateText(say, model.state), look(model)),
      el('span', { class: 'muted-2' }, moment(figure(model.created) ?? 0))),
    facts([
      [say('learntFrom'), names(model.survivors, say('ownOnly'))],
      quality === null ? null : [say('qualityFigure'), decimal(quality)],
      [say('model'), code(model.id, true)]
    ]),
    waiting ? decisions(admin, model, problem, decided) : null,
    model.state === 'ready' && !model.current ? goBack(admin, model, problem, decided) : null,
    problem,
    waiting ? el('section', {}, el('h4', {}, say('listsTitle')), modelLists(admin, model.id)) : null,
    reported || waiting ? report : null)
}

/**
 * @param {import('./admin.js').Admin} admin the page
 * @param {Model} model that may serve
 * @param {HTMLElement} problem where a failure is said
 * @param {(id: string, news: string) => Promise<void>} decided called after a decision
 */
function goBack ({ say, sayProblem, ask }, model, problem, decided) {
  return el('div', { class: 'shoal-actions' }, actionButton({
    text: say('rollback'),
    problem,
    sayProblem,
    run: async () => {
      const sure = await confirmed({ title: say('rollbackTitle'), text: say('rollbackText'), yes: say('rollbackYes'), no: say('cancel') })
      if (!sure) return
      await ask('POST', `models/${encodeURIComponent(plain(model.id))}/rollback`, {}, 90_000)
      await decided(model.id, say('rolledBack'))
    }
  }))
}

/** @param {Model} model from the daemon */
function look ({ current, state }) {
  if (current) return 'green'
  return state === 'quarantined' ? 'red' : state === 'awaiting' ? 'yellow' : 'secondary'
}

/**
 * @param {import('./admin.js').Admin} admin the page
 * @param {Model} model that waits
 * @param {HTMLElement} problem where a failure is said
 * @param {(id: string, news: string) => Promise<void>} decided called after a decision
 */
function decisions ({ say, sayProblem, ask }, model, problem, decided) {
  const held = model.state === 'quarantined'
  const order = (/** @type {'accept' | 'reject'} */ what) => ask('POST', `models/${encodeURIComponent(plain(model.id))}/${what}`, {}, 90_000)
  const accept = actionButton({
    text: say('accept'),
    look: held ? 'secondary' : 'primary',
    problem,
    sayProblem,
    run: async () => {
      const sure = await confirmed({
        title: say(held ? 'acceptHeldTitle' : 'acceptTitle'),
        text: say(held ? 'acceptHeldText' : 'acceptText'),
        yes: say('acceptYes'),
        no: say('cancel'),
        look: held ? 'danger' : 'primary'
      })
      if (!sure) return
      await order('accept')
      await decided(model.id, say('acceptedNow'))
    }
  })
  const reject = actionButton({
    text: say('reject'),
    problem,
    sayProblem,
    run: async () => {
      const sure = await confirmed({ title: say('rejectTitle'), text: say('rejectText'), yes: say('rejectYes'), no: say('cancel') })
      if (!sure) return
      await order('reject')
      await decided(model.id, say('rejectedNow'))
    }
  })
  return el('div', { class: 'shoal-actions' }, accept, reject)
}
