import { el, isWebAddress, safeLink } from '../lib/dom.js'
import { channelName } from '../lib/ids.js'
import { number } from '../lib/texts.js'
import { decimal, finePercent, moment } from './numbers.js'
import { badge, code, facts, figure, many, names, nothing, own, plain, table } from './pieces.js'
import { verdictBadge } from './rounds.js'

/** What gains exposure, by name of the list in a report. */
const GAINERS = /** @type {const} */ ({ videos: 'gainVideos', channels: 'gainChannels', hosts: 'gainHosts' })

/**
 * What was checked before a model may serve, and what it would change.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @param {any} report from the daemon
 * @returns {HTMLElement} the report
 */
export function acceptanceReport ({ say, tell }, report) {
  const warnings = many(report.warnings)
  return el('div', { class: 'shoal-report' },
    el('p', {}, verdictBadge(say, report.verdict), ' ', el('span', { class: 'muted-2' }, moment(figure(report.at) ?? 0))),
    el('h4', {}, say('checks')),
    el('ul', { class: 'shoal-list' }, ...many(report.checks).map(({ ok, sentence, value, bound }) => (
      el('li', { class: 'shoal-check' }, passed(say, ok),
        el('div', {}, el('p', {}, tell(sentence)),
          figure(value) === null
            ? null
            : el('p', { class: 'muted-2' }, figure(bound) === null
              ? say('foundValue', { value: short(value) })
              : say('foundBound', { value: short(value), bound: short(bound) }))))))),
    warnings.length ? el('h4', {}, say('warnings')) : null,
    warnings.length ? el('ul', { class: 'shoal-plain-list' }, ...warnings.map(warning => el('li', {}, tell(warning)))) : null,
    el('h4', {}, say('gains')),
    ...gains(say, many(report.gains)),
    el('h4', {}, say('rosterBehind')),
    facts([
      [say('members'), names(report.survivors, say('ownOnly'))],
      many(report.sums).length
        ? [say('sums'), el('span', {}, ...many(report.sums).flatMap((sum, place) => place ? [', ', code(sum)] : [code(sum)]))]
        : null
    ]))
}

/**
 * @param {import('./admin.js').Admin['say']} say the page's sentences
 * @param {any[]} comparisons against other models
 * @returns {HTMLElement[]} who gains
 */
function gains (say, comparisons) {
  const shown = comparisons.flatMap(comparison => {
    const tables = Object.entries(GAINERS).flatMap(([kind, title]) => {
      const rows = many(comparison?.[kind])
      return rows.length
        ? [table(say(title), [say(title), { title: say('before'), number: true }, { title: say('after'), number: true }],
          rows.map(row => [gainer(row), share(row.before), share(row.after)]))]
        : []
    })
    return tables.length ? [el('p', {}, say(comparison.against === 'month' ? 'againstMonth' : 'againstLocal')), ...tables] : []
  })
  return shown.length ? shown : [nothing(say('noGains'))]
}

/**
 * @param {import('./admin.js').Admin['say']} say the page's sentences
 * @param {unknown} ok whether a check passed; null where it could not be made
 */
function passed (say, ok) {
  if (ok === null) return badge(say('notChecked'), 'yellow')
  return ok === true ? badge(say('passed'), 'green') : badge(say('notPassed'), 'red')
}

/** @param {any} row a video, channel or host */
function gainer (row) {
  const name = plain(row.name, 2000)
  const address = plain(row.url, 2000) || name
  const leads = /^https?:/i.test(address) && isWebAddress(address)
  return leads ? safeLink(address, plain(row.title, 200) || channelName(address)) : own(name)
}

/** @param {unknown} value a part of all places */
function share (value) {
  return figure(value) === null ? '–' : finePercent(/** @type {number} */ (value))
}

/** @param {number} value of any size */
function short (value) {
  return Number.isInteger(value) ? number(value) : decimal(value, Math.abs(value) < 10 ? 3 : 1)
}
