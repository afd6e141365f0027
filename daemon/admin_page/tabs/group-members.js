import { actionButton, confirmed, problemLine } from '../lib/controls.js'
import { el } from '../lib/dom.js'
import { isolated, listed, number } from '../lib/texts.js'
import { approvedBadge } from './group-join.js'
import { keyWords, lookedAt } from './group-words.js'
import { moment } from './numbers.js'
import { badge, block, figure, folded, many, own, plain } from './pieces.js'

/** Members that are shown before somebody asks for the others. */
const AT_FIRST = 50
/** So many keys go into one order. */
const AT_ONCE = 100

/**
 * Who is in the group, and whom this administrator approved.
 *
 * @param {import('./group.js').Tab} tab the tab
 * @returns {HTMLElement} the list
 */
export function memberList (tab) {
  const { admin: { say }, found } = tab
  const all = many(found.members)
  const strangers = unknown(found)
  const against = many(found.against).map(host => plain(host, 255))
  const failed = problemLine()
  failed.textContent = tab.wrong
  return block(say('groupMembers'), el('p', {}, say('groupMembersText')),
    failed,
    strangers.length > 1 ? everybody(tab, strangers) : null,
    strangers.length > 1 && against.length ? el('p', { class: 'muted-2' }, say('decidedAgainst', { hosts: listed(against) })) : null,
    el('ul', { class: 'shoal-list' }, ...all.slice(0, AT_FIRST).map(member => memberEntry(tab, member))),
    all.length > AT_FIRST
      ? folded(say('more'), el('ul', { class: 'shoal-list' }, ...all.slice(AT_FIRST).map(member => memberEntry(tab, member))))
      : null)
}

/** @param {any} found the group */
function unknown ({ members, against }) {
  return many(members).filter(({ host, state, approved }) => (
    state === 'member' && approved === 'no' && !many(against).includes(host)))
}

/**
 * @param {import('./group.js').Tab} tab the tab
 * @param {any} member from the daemon
 */
function memberEntry (tab, member) {
  const { admin: { say } } = tab
  const problem = problemLine()
  const entry = el('li', { tabindex: '-1' },
    el('div', { class: 'shoal-peer-head' },
      el('strong', {}, own(member.host)),
      member.me ? badge(say('thisInstance'), 'secondary') : null,
      member.role === 'host' && !member.me ? badge(say('hostOfGroup'), 'secondary') : null,
      member.state === 'member' ? null : badge(stateText(say, member.state), 'secondary'),
      member.me || isGone(member) ? null : approvedBadge(say, member.approved),
      member.waits === true ? badge(say('memberWaits'), 'yellow') : null,
      (figure(tab.found.membership.epoch?.sub_cohorts) ?? 1) < 2 || figure(member.part) === null
        ? null
        : el('span', { class: 'muted-2' }, say('partNumber', { part: number(member.part) })),
      figure(member.seen) === null ? null : el('span', { class: 'muted-2' }, say('memberSeen', { moment: moment(member.seen) }))),
    member.approved === 'other-key' ? el('p', { class: 'shoal-warning' }, say('otherKeyText')) : null,
    many(member.words).length ? folded(say('words'), keyWords(member.words, say('words'), true)) : null,
    actions(tab, member, problem), problem)
  entry.dataset.host = plain(member.host, 255)
  return entry
}

/**
 * @param {import('./admin.js').Admin['say']} say the page's sentences
 * @param {unknown} state of a member at the host
 */
function stateText (say, state) {
  switch (state) {
    case 'invited': return say('invited')
    case 'refused': return say('groupRefused')
    case 'ejected': return say('groupEjected')
    case 'left': return say('groupLeft')
    default: return plain(state, 20)
  }
}

/**
 * @param {import('./group.js').Tab} tab the tab
 * @param {any} member from the daemon
 * @param {HTMLElement} problem where a failure is said
 */
function actions ({ admin, found, changed }, member, problem) {
  const { say, sayProblem, ask } = admin
  const host = plain(member.host, 255)
  const name = isolated(host)
  const button = (/** @type {string} */ text, /** @type {() => Promise<void>} */ run) => (
    actionButton({ text, label: `${text} ${name}`, small: true, problem, sayProblem, run }))
  const buttons = [
    member.me || member.state !== 'member' || member.approved !== 'no' ? null : button(say('approveNow'), async () => {
      const seen = await lookedAt(admin, host, 'approve')
      if (seen === null) return
      const { not_approved: not } = await ask('POST', 'group/approve', { members: [seen] }, 60_000)
      const [failed] = many(not)
      if (failed) throw admin.failed(failed.problem)
      await changed(null, say('approvedNow', { host: name }), { host })
    }),
    found.membership.role !== 'host' || member.me || isGone(member) ? null : button(say('ejectNow'), async () => {
      const sure = await confirmed({
        title: say('ejectTitle', { host: name }), text: say('ejectText'), yes: say('ejectYes'), no: say('cancel')
      })
      if (!sure) return
      const after = await ask('POST', `group/members/${encodeURIComponent(host)}/eject`, {})
      await changed(after, say('ejectedNow', { host: name }), { host })
    })
  ].filter(part => part !== null)
  return buttons.length ? el('div', { class: 'shoal-actions' }, ...buttons) : null
}

/** @param {any} member who may be out of the group */
function isGone ({ state }) {
  return state !== 'member' && state !== 'invited'
}

/**
 * Approve all at once, by the words that are shown.
 *
 * @param {import('./group.js').Tab} tab the tab
 * @param {any[]} strangers members that are not approved
 */
function everybody ({ admin, changed }, strangers) {
  const { say, sayProblem, ask } = admin
  const problem = problemLine()
  const run = async () => {
    const sure = await confirmed({
      title: say('approveAllTitle', { count: number(strangers.length) }),
      text: say('approveAllText'),
      yes: say('approveAllYes'),
      no: say('cancel'),
      look: 'primary',
      content: [el('ul', { class: 'shoal-list' }, ...strangers.map(({ host, words }) => (
        el('li', {}, el('strong', {}, own(host)), keyWords(words, say('words'), true)))))]
    })
    if (!sure) return
    const failed = []
    let done = 0
    for (let from = 0; from < strangers.length; from += AT_ONCE) {
      const members = strangers.slice(from, from + AT_ONCE).map(({ host, key }) => ({ host, key }))
      const found = await ask('POST', 'group/approve', { members }, 60_000)
      done += many(found?.approved).length
      failed.push(...many(found?.not_approved))
    }
    const reasons = await Promise.all(failed.map(async ({ host, problem: { message } }) => (
      say('notApproved', { host: isolated(plain(host, 255)), reason: await admin.translated(`${message}.`, host) }))))
    await changed(null, say.counted('approvedOne', 'approvedMany', done), { wrong: reasons.join(' ') })
  }
  return el('div', {},
    el('div', { class: 'shoal-actions' }, actionButton({ text: say('approveAll'), problem, sayProblem, run })), problem)
}
