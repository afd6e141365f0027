import { el, safeLink } from '../lib/dom.js'
import { number } from '../lib/texts.js'
import { decimal, finePercent, moment } from './numbers.js'
import { code, facts, figure, folded, many, nothing, plain, table } from './pieces.js'

/**
 * What taking a peer out changed, or would change.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @param {any} report from the daemon
 * @returns {HTMLElement} the report
 */
export function revertReport ({ say, tell }, report) {
  const changed = report?.changed ?? {}
  const [sums, models] = [many(report?.deleted?.sums), many(report?.deleted?.models)]
  const preview = report?.dry_run === true
  const examples = many(changed.examples)
  const limits = many(report?.limits)
  return el('div', { class: 'shoal-report' },
    table(say('report'), [say('instance'), say('before'), say('after')], [
      [say('inService'), model(say, report?.served_before), model(say, report?.served_now)],
      [say('exposure'), ...written(report?.exposure, finePercent)],
      [say('qualityFigure'), ...written(report?.quality, decimal)]
    ]),
    facts([
      [say('listsChanged'), say('listsOf', { lists: number(figure(changed.lists) ?? 0), of: number(figure(changed.of) ?? 0) })],
      preview ? null : [say('outOfService'), figure(report?.seconds_out_of_service) === null ? '–' : say('seconds', { seconds: decimal(report.seconds_out_of_service, 1) })],
      [say('basis'), basisText(say, report?.basis)],
      [say(preview ? 'wouldDelete' : 'deleted'), say('deletedCount', { sums: number(sums.length), models: number(models.length) })],
      [say('nextWindow'), figure(report?.next_window) === null ? say('windowNow') : moment(report.next_window)]
    ]),
    examples.length
      ? folded(say('examples'), ...examples.map(example => el('div', { class: 'shoal-example' },
        el('p', {}, el('strong', {}, video(example))),
        el('div', { class: 'shoal-sides' }, side(say('before'), example.before, say), side(say('after'), example.after, say)))))
      : null,
    limits.length ? el('h4', {}, say('limits')) : null,
    limits.length ? el('ul', { class: 'shoal-plain-list' }, ...limits.map(limit => el('li', {}, tell(limit)))) : null,
    report?.proof ? el('p', { class: 'shoal-proof' }, plain(report.proof)) : null)
}

/**
 * @param {import('./admin.js').Admin['say']} say the page's sentences
 * @param {unknown} basis what is learnt from now
 */
function basisText (say, basis) {
  switch (basis) {
    case 'sub-cohorts': return say('basisSubCohorts')
    case 'older sum': return say('basisOlder')
    case 'local': return say('basisLocal')
    default: return plain(basis, 100) || '–'
  }
}

/**
 * @param {import('./admin.js').Admin['say']} say the page's sentences
 * @param {unknown} id of a model, if there is one
 */
function model (say, id) {
  return id ? code(id, true) : say('servedNothing')
}

/**
 * @param {any} pair a number before and after
 * @param {(value: number) => string} how it is written
 * @returns {string[]} both
 */
function written (pair, how) {
  return [pair?.before, pair?.after].map(value => figure(value) === null ? '–' : how(value))
}

/**
 * @param {string} title of the list
 * @param {unknown} videos best first
 * @param {import('./admin.js').Admin['say']} say the page's sentences
 */
function side (title, videos, say) {
  const known = many(videos)
  return el('div', {}, el('p', { class: 'muted-2' }, title), known.length
    ? el('ol', { class: 'shoal-ranked' }, ...known.map(one => el('li', {}, video(one))))
    : nothing(say('stockList')))
}

/** @param {any} given a video, or its address */
function video (given) {
  const address = plain(typeof given === 'string' ? given : given?.url, 2000)
  return safeLink(address, plain(given?.title, 200) || address)
}
