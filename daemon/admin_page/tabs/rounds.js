import { actionButton, problemLine } from '../lib/controls.js'
import { el } from '../lib/dom.js'
import { number } from '../lib/texts.js'
import { moment, size } from './numbers.js'
import { badge, block, code, facts, figure, folded, many, names, nothing, own, plain, table } from './pieces.js'

const AT_ONCE = 30
const MOST = 500

/**
 * Rounds that were completed or tried, and which sub-cohorts were there when something went wrong.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @returns {import('./tab-list.js').Part} the part
 */
export function rounds (admin) {
  const { page, say, sayProblem, ask } = admin
  let limit = AT_ONCE
  const problem = problemLine()

  const suspects = page.loaded(
    async () => (await ask('GET', 'suspects')).suspects,
    runs => runs.length
      ? [el('ul', { class: 'shoal-list' }, ...runs.map(run => runEntry(admin, run)))]
      : [nothing(say('noSuspects'))])

  const list = page.loaded(
    async () => (await ask('GET', `rounds?limit=${limit}`)).rounds,
    found => {
      if (found.length === 0) return [nothing(say('noRounds'))]
      more.hidden = found.length < limit || limit >= MOST
      return [el('ul', { class: 'shoal-list' }, ...found.map(round => roundEntry(admin, round)))]
    })

  const more = actionButton({
    text: say('more'),
    problem,
    sayProblem,
    run: () => {
      limit = Math.min(MOST, limit + 3 * AT_ONCE)
      return list.reload()
    }
  })
  more.hidden = true

  return {
    content: [
      block(say('rounds'), el('p', {}, say('roundsText')), list.box, more, problem),
      block(say('suspects'), el('p', {}, say('suspectsText')), suspects.box)
    ],
    refresh: () => Promise.all([list.reload(), suspects.reload()]),
    about: () => {
      const heading = suspects.box.closest('section')?.querySelector('h2')
      heading?.focus()
    }
  }
}

/**
 * @param {import('./admin.js').Admin} admin the page
 * @param {any} round from the daemon
 */
function roundEntry ({ say }, round) {
  const [roster, survivors] = [many(round.roster), many(round.survivors)]
  const missing = roster.filter(host => !survivors.includes(host))
  const title = titleOf(say, round)
  return el('li', {},
    el('div', { class: 'shoal-peer-head' },
      el('strong', {}, ...title),
      outcomeBadge(say, round.outcome),
      el('span', { class: 'muted-2' }, moment(figure(round.started) ?? 0))),
    round.reason ? el('p', {}, plain(round.reason)) : null,
    el('p', { class: 'muted-2' }, [
      say('membersOf', { survivors: number(survivors.length), roster: number(roster.length) }),
      // What was published is no message of a round.
      ...round.role === 'group'
        ? []
        : [say('bytesInOut', { received: size(figure(round.bytes_in) ?? 0), sent: size(figure(round.bytes_out) ?? 0) })],
      ...(figure(round.sub_cohort) === null ? [] : [say('subCohortNumber', { number: number(round.sub_cohort) })])
    ].join(' · ')),
    folded(say('whoAndId'), facts([
      [say('inTheSum'), names(survivors, say('nobody'))],
      missing.length ? [say('notInTheSum'), names(missing, say('nobody'))] : null,
      [say('round'), code(round.id, true)]
    ])))
}

/**
 * Whose sum it was.
 *
 * @param {import('./admin.js').Admin['say']} say the page's sentences
 * @param {any} round from the daemon
 * @returns {(Node | string)[]} words
 */
function titleOf (say, { role, aggregator, roster }) {
  switch (role) {
    case 'aggregator': return [say('ownSum')]
    case 'host': return [say('hostedSum')]
    case 'group': return [say('othersGave'), ' ', own(aggregator)]
    case 'newcomer': return [say('passedOnBy'), ' ', own(aggregator)]
    // In a group, whoever adds up is a member as well.
    default: return [say(many(roster).includes(aggregator) ? 'groupSum' : 'sumFor'), ' ', own(aggregator)]
  }
}

/**
 * @param {import('./admin.js').Admin['say']} say the page's sentences
 * @param {unknown} outcome of a round
 */
function outcomeBadge (say, outcome) {
  switch (outcome) {
    case 'done': return badge(say('outcomeDone'), 'green')
    case 'running': return badge(say('outcomeOpen'), 'secondary')
    case 'waiting': return badge(say('outcomeWaiting'), 'yellow')
    case 'abandoned': return badge(say('outcomeAbandoned'), 'red')
    default: return badge(plain(outcome, 40), 'secondary')
  }
}

/**
 * @param {import('./admin.js').Admin} admin the page
 * @param {any} run the rounds of one cohort
 */
function runEntry ({ say, tell }, run) {
  return el('li', {},
    el('p', {}, el('strong', {}, tell(run.sentence)), ' ', el('span', { class: 'muted-2' }, moment(figure(run.at) ?? 0))),
    table(say('subCohorts'), [say('subCohort'), say('verdict'), say('members'), say('reasons')],
      many(run.sub_cohorts).map(({ number: count, members, verdict, reasons }) => [
        number(figure(count) ?? 0), verdictBadge(say, verdict), names(members, say('nobody')),
        tell(...many(reasons)) || '–'
      ])))
}

/**
 * What the checks said of a sum or a model.
 *
 * @param {import('./admin.js').Admin['say']} say the page's sentences
 * @param {unknown} verdict of the daemon
 * @returns {HTMLElement} a label
 */
export function verdictBadge (say, verdict) {
  switch (verdict) {
    case 'accepted': return badge(say('verdictAccepted'), 'green')
    case 'awaiting': return badge(say('stateAwaiting'), 'yellow')
    case 'quarantined': return badge(say('stateQuarantined'), 'red')
    case 'new': return badge(say('verdictNew'), 'secondary')
    default: return badge(plain(verdict, 40), 'secondary')
  }
}
