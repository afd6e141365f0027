import { el } from '../lib/dom.js'
import { day, number } from '../lib/texts.js'
import { moment } from './numbers.js'
import { badge, block, facts, folded, many, names, own, plain } from './pieces.js'

const MODES = /** @type {const} */ (['off', 'simulate', 'consume', 'contribute'])
const LEVELS = /** @type {const} */ (['none', 'default', 'strict', 'user-level'])
const NEXT = /** @type {const} */ (['sync', 'training', 'window', 'round'])

/**
 * Mode, level, what serves, and what happens next.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @param {import('../ask.js').Answer<'Overview'>} found the overview
 * @returns {HTMLElement} the part
 */
export function standing (admin, found) {
  const { say, tell } = admin
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
        : [say('cohort'), el('span', {}, `${say('cohortCount', { approved: number(cohort?.approved ?? 0), mutual: number(cohort?.mutual ?? 0), needed: number(cohort?.needed ?? 0) })} ${tell(...cohort.sentences)} `, admin.link('peers', say('toPeers'), ''))]
    ]),
    el('h3', {}, say('whatNext')),
    nextDates(admin, found.next),
    waiting && found.mode !== 'off' ? whatWaits(admin, waiting) : null,
    folded(say('ownWords'), words(found.words, say('noWords'))))
}

/**
 * @param {import('./admin.js').Admin} admin the page
 * @param {import('../ask.js').Answer<'NextDate'>[]} dates in the order in which an instance does it
 */
function nextDates ({ say, tell }, dates) {
  return facts(dates.map(({ what, at, why }) => {
    const known = NEXT.find(name => name === what)
    const when = at === null ? badge(say('noDate'), 'secondary') : el('strong', {}, moment(at))
    return [known ? say(`next_${known}`) : plain(what, 40), el('span', {}, when, ' ', tell(...why))]
  }))
}

/**
 * What the next shared suggestions wait for, each cause with its date.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @param {import('../ask.js').Answer<'Waiting'>} waiting as the daemon tells it
 */
function whatWaits ({ say, tell }, { first, at, waits: causes }) {
  const dates = causes.flatMap(wait => wait.blocks && typeof wait.at === 'number' ? [wait.at] : [])
  const about = causes.some(wait => wait.blocks)
    ? dates.length ? say('waitAbout', { day: day(Math.max(...dates)) }) : say('waitDecision')
    : say('waitNothing')
  return el('div', {},
    el('p', {}, `${say(first ? 'firstShared' : 'nextShared')} `,
      el('strong', {}, at === null && dates.length ? `${about} ${say('waitDecision')}` : about)),
    causes.length ? el('ul', { class: 'shoal-plain-list' }, ...causes.map(({ sentences }) => el('li', {}, tell(...sentences)))) : null)
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
