import { el } from '../lib/dom.js'
import { day, number } from '../lib/texts.js'
import { decimal } from './numbers.js'
import { block, folded, nothing, table } from './pieces.js'

/**
 * What suggestions achieved on watch pages, and clicks on them against PeerTube's own order.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @returns {{ content: HTMLElement, reload: () => Promise<void> }} the part
 */
export function effects (admin) {
  const { page, say, tell, ask } = admin
  const { box, reload } = page.loaded(
    () => ask('GET', 'effects'),
    ({ weeks, comparison, why }) => [block(say('effects'),
      why ? nothing(tell(why)) : null,
      comparison ? compared(admin, comparison) : null,
      weeks.length ? folded(say('byWeek'), byWeek(admin, weeks)) : null)])
  return { content: box, reload }
}

/**
 * @param {import('./admin.js').Admin} admin the page
 * @param {import('../ask.js').Answer<'Comparison'>} comparison from the daemon
 */
function compared ({ say, tell }, { since, ours, stock }) {
  const sides = /** @type {const} */ ([['effectsOurs', ours], ['effectsStock', stock]])
  return el('div', {},
    el('p', {}, say('effectsText', { day: day(since) })),
    el('div', { class: 'shoal-sides' }, ...sides.map(([title, rate]) => el('div', { class: 'shoal-figure-card' },
      el('h3', {}, say(title)),
      rate.per_1000 === null || rate.low === null || rate.high === null
        ? el('p', { class: 'muted-2' }, rate.why ? tell(rate.why) : '–')
        : el('div', {}, el('p', { class: 'shoal-big' }, decimal(rate.per_1000, 1)),
          el('p', { class: 'muted-2' }, say('effectsRate', {
            low: decimal(rate.low, 1),
            high: decimal(rate.high, 1),
            clicks: number(rate.clicks),
            pages: number(rate.pages)
          })))))))
}

/**
 * @param {import('./admin.js').Admin} admin the page
 * @param {import('../ask.js').Answer<'Week'>[]} weeks oldest first
 */
function byWeek ({ say }, weeks) {
  const columns = /** @type {const} */ (['pages', 'explained', 'clicked', 'stock_clicked', 'hidden'])
  return table(say('effects'),
    [say('effects_week'), ...columns.map(name => ({ title: say(`effects_${name}`), number: /** @type {true} */ (true) }))],
    weeks.toReversed().map(week => [day(week.at), ...columns.map(name => number(week[name]))]))
}
