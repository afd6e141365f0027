import { el } from '../lib/dom.js'
import { day, number } from '../lib/texts.js'
import { moment } from './numbers.js'
import { badge, block, facts, figure, folded, many, names, own, plain } from './pieces.js'

/** @typedef {import('./notices.js').Told} Told */

const MODES = /** @type {const} */ (['off', 'simulate', 'consume', 'contribute'])
const LEVELS = /** @type {const} */ (['none', 'default', 'strict', 'user-level'])
const NEXT = /** @type {const} */ (['sync', 'training', 'window', 'round'])

/**
 * Mode, level, what serves, and what happens next.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @param {any} found the overview
 * @param {Told} told says the daemon's sentences
 * @returns {HTMLElement} the part
 */
export function standing (admin, found, told) {
  const { say } = admin
  const { model, cohort, group, waiting } = found
  const level = LEVELS.find(name => name === found.level)
  return block(say('standing'),
    facts([
      [say('mode'), el('span', {}, modeText(say, found.mode), ' ', admin.link('settings', say('change'), ''))],
      level && found.mode !== 'off' ? [say('level'), say(`level_${level}`)] : null,
      [say('served'), model
        ? `${say(model.kind === 'federated' ? 'servedFederated' : 'servedLocal')} ${say('servedSince', { day: day(model.since), videos: number(model.videos) })}`
        : say('servedNothing')],
      model ? [say('learntFrom'), names(model.survivors, say('ownOnly'))] : null,
      // While it is in a group, it asks its peers for nothing.
      group
        ? [say('tab_group'), groupText(admin, group)]
        : [say('cohort'), el('span', {}, `${say('cohortCount', { approved: number(cohort?.approved ?? 0), mutual: number(cohort?.mutual ?? 0), needed: number(cohort?.needed ?? 0) })} ${told(cohort?.sentence)} `, admin.link('peers', say('toPeers'), ''))]
    ]),
    el('h3', {}, say('whatNext')),
    nextDates(say, many(found.next), told),
    waiting && found.mode !== 'off' ? whatWaits(say, waiting) : null,
    folded(say('ownWords'), words(found.words, say('noWords'))))
}

/**
 * @param {import('./admin.js').Admin['say']} say the page's sentences
 * @param {any[]} dates in the order in which an instance does it
 * @param {Told} told says the daemon's sentences
 */
function nextDates (say, dates, told) {
  return facts(dates.map(({ what, at, cause }) => {
    const known = NEXT.find(name => name === what)
    const when = figure(at) === null ? badge(say('noDate'), 'secondary') : el('strong', {}, moment(at))
    return [known ? say(`next_${known}`) : plain(what, 40), el('span', {}, when, ' ', told(cause))]
  }))
}

/**
 * What the next shared suggestions wait for, each cause with its date.
 *
 * @param {import('./admin.js').Admin['say']} say the page's sentences
 * @param {any} waiting as the daemon tells it
 */
function whatWaits (say, { first, at, waits }) {
  /** @type {any[]} */
  const causes = many(waits)
  const dates = causes.flatMap(wait => wait.blocks && typeof wait.at === 'number' ? [wait.at] : [])
  const about = causes.some(wait => wait.blocks)
    ? dates.length ? say('waitAbout', { day: day(Math.max(...dates)) }) : say('waitDecision')
    : say('waitNothing')
  return el('div', {},
    el('p', {}, `${say(first ? 'firstShared' : 'nextShared')} `,
      el('strong', {}, at === null && dates.length ? `${about} ${say('waitDecision')}` : about)),
    causes.length ? el('ul', { class: 'shoal-plain-list' }, ...causes.map(wait => el('li', {}, causeText(say, wait), ...whose(say, wait)))) : null)
}

/**
 * Whom a cause depends on, where it depends on somebody.
 *
 * @param {import('./admin.js').Admin['say']} say the page's sentences
 * @param {any} wait one cause
 */
const whose = (say, { hosts }) => many(hosts).length ? [` ${say('waitHosts')} `, names(hosts, '')] : []

/**
 * @param {import('./admin.js').Admin['say']} say the page's sentences
 * @param {any} wait one cause
 */
function causeText (say, { cause, at, count, total, blocks, sentence }) {
  const values = { count: number(count ?? 0), total: number(total ?? 0), day: typeof at === 'number' ? day(at) : '' }
  switch (cause) {
    case 'videos': return say(blocks ? 'waitVideos' : 'waitVideosSome', values)
    case 'approvals': return say('waitApprovals', values)
    case 'viewers': return say('waitViewers', values)
    case 'group': return typeof at === 'number' ? say('waitGroup', values) : say('waitGroupSilent')
    case 'mode': return say('waitMode')
    case 'sync': return say('waitSync')
    case 'window': return say('waitWindow', values)
    case 'retry': return say('waitRetry', values)
    case 'schedule': return say('waitSchedule')
    case 'training': return say('waitTraining')
    case 'confirm': return say('waitConfirm')
    // Of a later daemon, in its own words.
    default: return plain(sentence)
  }
}

/**
 * @param {import('./admin.js').Admin} admin the page
 * @param {any} group that this instance is in
 */
function groupText (admin, { group, host, role }) {
  const hosted = role === 'host' ? admin.say('groupHosting') : own(host)
  return el('span', {}, own(group), ' (', hosted, '). ', admin.link('peers', admin.say('toGroup'), '@group'))
}

/**
 * What a mode means.
 *
 * @param {import('./admin.js').Admin['say']} say the page's sentences
 * @param {unknown} mode of the daemon
 * @returns {string} a sentence
 */
export function modeText (say, mode) {
  const known = MODES.find(name => name === mode)
  return known ? say(`mode_${known}`) : plain(mode)
}

/**
 * @param {unknown} given words of a key
 * @param {string} none what to say without
 */
function words (given, none) {
  const known = many(given)
  return known.length
    ? el('ol', { class: 'shoal-words shoal-words-small', lang: 'en', dir: 'ltr' }, ...known.map(word => el('li', {}, plain(word, 20))))
    : none
}
