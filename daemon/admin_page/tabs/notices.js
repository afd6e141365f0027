import { el } from '../lib/dom.js'
import { day } from '../lib/texts.js'
import { badge, block, nothing, plain } from './pieces.js'

/** @typedef {import('../ask.js').Answer<'Notice'>} Notice */

/** What to say of a notice, and where to do something about it; without `about`, the link leads to its subject. */
/**
 * @typedef {{ look: 'red' | 'yellow' | 'secondary', label: Word, tab: string, link: Word, about?: string }} Way
 * @type {Record<string, Way>}
 */
const NOTICES = {
  'database-lost': { look: 'red', label: 'noticeLost', tab: 'peers', link: 'toPeers', about: '' },
  'peer-request': { look: 'yellow', label: 'noticeRequest', tab: 'peers', link: 'toPeer' },
  introductions: { look: 'yellow', label: 'noticeIntroductions', tab: 'peers', link: 'toCircle', about: '@circle' },
  'key-changed': { look: 'red', label: 'noticeKey', tab: 'peers', link: 'toPeer' },
  unreachable: { look: 'secondary', label: 'noticeUnreachable', tab: 'peers', link: 'toPeer' },
  awaiting: { look: 'yellow', label: 'noticeAwaiting', tab: 'models', link: 'toModel' },
  quarantine: { look: 'red', label: 'noticeQuarantine', tab: 'models', link: 'toModel' },
  budget: { look: 'yellow', label: 'noticeBudget', tab: 'settings', link: 'toShared', about: 'shared' },
  'exact-own': { look: 'yellow', label: 'noticeExact', tab: 'settings', link: 'toSettings', about: '' },
  'lists-silent': { look: 'red', label: 'noticeSilent', tab: 'settings', link: 'toSettings', about: '' },
  'group-request': { look: 'yellow', label: 'noticeGroupRequest', tab: 'peers', link: 'toGroup', about: '@group' },
  'group-out': { look: 'red', label: 'noticeGroupOut', tab: 'peers', link: 'toGroup', about: '@group' },
  'group-member': { look: 'yellow', label: 'noticeGroupMember', tab: 'peers', link: 'toGroup', about: '@group' },
  'group-host': { look: 'secondary', label: 'noticeGroupHost', tab: 'peers', link: 'toGroup', about: '@group' }
}
/** @typedef {keyof import('../languages.js').Words} Word */

const HASH = /^[0-9a-f]{32,}$/

/**
 * What waits for a decision, each with the way to it.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @param {Notice[]} notices newest first
 * @returns {HTMLElement} the part
 */
export function waitingForYou (admin, notices) {
  const { say } = admin
  return block(say('waiting'), notices.length
    ? el('ul', { class: 'shoal-list shoal-notices' }, ...notices.map(notice => line(admin, notice)))
    : nothing(say('nothingWaits')))
}

/**
 * @param {import('./admin.js').Admin} admin the page
 * @param {Notice} notice what waits
 */
function line (admin, { kind, at, subject, sentences, advice }) {
  const { say, tell } = admin
  const known = Object.hasOwn(NOTICES, kind) ? NOTICES[kind] : undefined
  // A sum can be quarantined before there is a model of it.
  const link = kind === 'quarantine' && HASH.test(plain(subject))
    ? admin.link('settings', say('toRounds'), 'rounds')
    : known && admin.link(known.tab, say(known.link), known.about ?? plain(subject))
  return el('li', {},
    el('div', { class: 'shoal-peer-head' },
      known ? badge(say(known.label), known.look) : badge(say('noticeOther'), 'yellow'),
      el('span', { class: 'muted-2' }, day(at))),
    el('p', {}, el('strong', {}, tell(...sentences))),
    el('p', {}, tell(advice)),
    link ? el('p', {}, link) : null)
}
