import { listIn } from '../lib/api.js'
import { el } from '../lib/dom.js'
import { day, number } from '../lib/texts.js'
import { qualityChart } from './chart.js'
import { badge, block, facts, many, names, nothing, own, plain } from './pieces.js'

/** @typedef {import('../ask.js').Answer<'Notice'>} Notice */

/** What to say of a notice, and where to do something about it. */
const NOTICES = /** @type {const} */ ({
  'database-lost': { look: 'red', label: 'noticeLost', tab: 'peers', link: 'toPeers' },
  'peer-request': { look: 'yellow', label: 'noticeRequest', tab: 'peers', link: 'toPeer' },
  introductions: { look: 'yellow', label: 'noticeIntroductions', tab: 'peers', link: 'toCircle' },
  'key-changed': { look: 'red', label: 'noticeKey', tab: 'peers', link: 'toPeer' },
  unreachable: { look: 'secondary', label: 'noticeUnreachable', tab: 'peers', link: 'toPeer' },
  awaiting: { look: 'yellow', label: 'noticeAwaiting', tab: 'models', link: 'toModel' },
  quarantine: { look: 'red', label: 'noticeQuarantine', tab: 'models', link: 'toModel' },
  budget: { look: 'yellow', label: 'noticeBudget', tab: 'shared', link: 'toShared' },
  'group-request': { look: 'yellow', label: 'noticeGroupRequest', tab: 'group', link: 'toGroup' },
  'group-out': { look: 'red', label: 'noticeGroupOut', tab: 'group', link: 'toGroup' },
  'group-member': { look: 'yellow', label: 'noticeGroupMember', tab: 'group', link: 'toGroup' },
  'group-host': { look: 'secondary', label: 'noticeGroupHost', tab: 'group', link: 'toGroup' }
})

const HASH = /^[0-9a-f]{32,}$/
const MODES = /** @type {const} */ (['off', 'simulate', 'consume', 'contribute'])

/**
 * How the instance stands, and what waits for the administrator.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @returns {import('./tab-list.js').Part} the part
 */
export function overview (admin) {
  const { page, say, ask } = admin
  const { box, reload } = page.loaded(
    async () => {
      const found = await ask('GET', 'overview')
      /** @type {Notice[]} */
      const notices = listIn(found, 'notices')
      return { found, notices }
    },
    ({ found, notices }) => [
      block(say('waiting'), notices.length
        ? el('ul', { class: 'shoal-list' }, ...notices.map(notice => noticeLine(admin, notice)))
        : nothing(say('nothingWaits'))),
      standing(admin, found),
      block(say('quality'), el('p', {}, say('qualityText')), qualityChart(admin, many(found.quality)))
    ])
  return { content: [box], refresh: reload }
}

/**
 * @param {import('./admin.js').Admin} admin the page
 * @param {Notice} notice what waits
 */
function noticeLine (admin, { kind, at, subject, sentences, advice }) {
  const { say, tell } = admin
  const known = Object.hasOwn(NOTICES, kind) ? NOTICES[/** @type {keyof typeof NOTICES} */ (kind)] : null
  // A sum can be quarantined before there is a model of it.
  const ofSum = kind === 'quarantine' && HASH.test(plain(subject))
  const link = ofSum
    ? admin.link('settings', say('toRounds'), 'rounds')
    : known && admin.link(known.tab, say(known.link), plain(subject))
  return el('li', {},
    el('div', { class: 'shoal-peer-head' },
      known ? badge(say(known.label), known.look) : badge(say('noticeOther'), 'yellow'),
      el('span', { class: 'muted-2' }, day(at))),
    el('p', {}, el('strong', {}, tell(...sentences))),
    el('p', {}, tell(advice)),
    link && el('p', {}, link))
}

/**
 * @param {import('./admin.js').Admin} admin the page
 * @param {any} found the overview
 */
function standing (admin, found) {
  const { say, tell } = admin
  const { model, cohort, group, waiting } = found
  return block(say('standing'), facts([
    waiting ? [say(waiting.first ? 'firstShared' : 'nextShared'), whatWaits(admin, waiting)] : null,
    [say('instance'), own(found.host)],
    [say('ownWords'), words(found.words, say('noWords'))],
    [say('mode'), modeText(say, found.mode)],
    [say('served'), model
      ? `${say(model.kind === 'federated' ? 'servedFederated' : 'servedLocal')} ${say('servedSince', { day: day(model.since), videos: number(model.videos) })}`
      : say('servedNothing')],
    model ? [say('learntFrom'), names(model.survivors, say('ownOnly'))] : null,
    // While it is in a group, it asks its peers for nothing.
    group ? [say('tab_group'), groupText(admin, group)] : [say('cohort'), `${say('cohortCount', { approved: number(cohort?.approved ?? 0), mutual: number(cohort?.mutual ?? 0), needed: number(cohort?.needed ?? 0) })} ${tell(...cohort.sentences)}`]
  ]))
}

/**
 * What the next shared suggestions wait for, each cause with its date.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @param {import('../ask.js').Answer<'Waiting'>} waiting as the daemon tells it
 */
function whatWaits (admin, { at, waits: causes }) {
  const { say } = admin
  const dates = causes.flatMap(wait => wait.blocks && typeof wait.at === 'number' ? [wait.at] : [])
  const about = causes.some(wait => wait.blocks)
    ? dates.length ? say('waitAbout', { day: day(Math.max(...dates)) }) : say('waitDecision')
    : say('waitNothing')
  return el('div', {},
    el('p', {}, el('strong', {}, at === null && dates.length ? `${about} ${say('waitDecision')}` : about)),
    causes.length ? el('ul', {}, ...causes.map(({ sentences }) => el('li', {}, admin.tell(...sentences)))) : null)
}

/**
 * @param {import('./admin.js').Admin} admin the page
 * @param {any} group that this instance is in
 */
function groupText (admin, { group, host, role }) {
  const hosted = role === 'host' ? admin.say('groupHosting') : own(host)
  return el('span', {}, own(group), ' (', hosted, '). ', admin.link('group', admin.say('toGroup')))
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
