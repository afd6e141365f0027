import { actionButton, confirmed, problemLine } from '../lib/controls.js'
import { el } from '../lib/dom.js'
import { isolated, number } from '../lib/texts.js'
import { lineForm } from './group-join.js'
import { keyWords, lookedAt } from './group-words.js'
import { moment } from './numbers.js'
import { badge, block, figure, many, nothing, own, plain } from './pieces.js'

/**
 * What the host's administrator sends to others, and reads to them.
 *
 * @param {import('./group.js').Tab} tab the tab
 * @returns {HTMLElement} the invitation
 */
export function invitation ({ admin: { say, sayProblem }, found }) {
  const given = found.invitation ?? {}
  const problem = problemLine()
  const outcome = el('p', { role: 'status' })
  const line = el('pre', { dir: 'ltr', tabindex: '0', 'aria-label': say('invitation') }, plain(given.command, 600))
  const copy = actionButton({
    text: say('copy'),
    problem,
    sayProblem,
    run: async () => {
      try {
        await navigator.clipboard.writeText(line.textContent ?? '')
        outcome.textContent = say('copied')
      } catch {
        // Without a clipboard, or where the browser refuses it.
        line.focus()
        getSelection()?.selectAllChildren(line)
        outcome.textContent = say('copyByHand')
      }
    }
  })
  return block(say('invitation'),
    given.public === false ? el('p', { class: 'shoal-warning' }, say('notReachable')) : null,
    el('p', {}, say('invitationHow')), line,
    el('div', { class: 'shoal-actions' }, copy), problem, outcome,
    el('p', {}, say('readWords')), keyWords(given.words, say('ownWords'), true))
}

/**
 * Let an instance in before it asks.
 *
 * @param {import('./group.js').Tab} tab the tab
 * @returns {HTMLElement} the form
 */
export function inviting ({ admin, changed }) {
  const { say, sayProblem, ask } = admin
  return block(say('inviteHost'), lineForm(say('host'), say('inviteText'), say('inviteNow'), sayProblem, async text => {
    const seen = await lookedAt(admin, text, 'invite')
    if (seen === null) return
    await changed(await ask('POST', 'group/invite', seen, 60_000), say('invitedNow', { host: isolated(seen.host) }), { host: seen.host })
  }))
}

/**
 * Who asks to be let in.
 *
 * @param {import('./group.js').Tab} tab the tab
 * @returns {HTMLElement} the list
 */
export function joinRequests (tab) {
  const { admin: { say }, found } = tab
  const waiting = many(found.requests)
  return block(say('joinRequests'), waiting.length
    ? el('ul', { class: 'shoal-list' }, ...waiting.map(request => requestEntry(tab, request)))
    : nothing(say('noJoinRequests')))
}

/**
 * @param {import('./group.js').Tab} tab the tab
 * @param {any} request from the daemon
 */
function requestEntry ({ admin, changed }, request) {
  const { say, sayProblem, ask } = admin
  const problem = problemLine()
  const host = plain(request.host, 255)
  const name = isolated(host)
  const path = /** @type {const} */ (`group/members/${encodeURIComponent(host)}`)
  const letIn = actionButton({
    text: say('letIn'),
    label: `${say('letIn')} ${name}`,
    look: 'primary',
    small: true,
    problem,
    sayProblem,
    run: async () => {
      const seen = await lookedAt(admin, host, 'letIn')
      if (seen === null) return
      await changed(await ask('POST', `${path}/admit`, { key: seen.key }, 60_000), say('letInNow', { host: name }), { host })
    }
  })
  const refuse = actionButton({
    text: say('refuseNow'),
    label: `${say('refuseNow')} ${name}`,
    small: true,
    problem,
    sayProblem,
    run: async () => {
      const sure = await confirmed({ title: say('refuseTitle', { host: name }), text: say('refuseText'), yes: say('refuseYes'), no: say('cancel') })
      if (sure) await changed(await ask('POST', `${path}/refuse`, {}), say('refusedNow', { host: name }), { host })
    }
  })
  const entry = el('li', { tabindex: '-1' },
    el('div', { class: 'shoal-peer-head' },
      el('strong', {}, own(host)),
      request.peer === 'yes' ? badge(say('peerApproved'), 'green') : null,
      request.peer === 'other-key' ? badge(say('approvedOther'), 'red') : null,
      figure(request.since) === null ? null : el('span', { class: 'muted-2' }, say('askedAt', { moment: moment(request.since) }))),
    keyWords(request.words, say('words'), true),
    el('div', { class: 'shoal-actions' }, letIn, refuse), problem)
  entry.dataset.host = host
  return entry
}

/**
 * Announce a sum for a time.
 *
 * @param {import('./group.js').Tab} tab the tab
 * @returns {HTMLElement} the form
 */
export function announcing ({ admin: { say, sayProblem, ask }, found: { membership }, changed }) {
  const [there, needed] = [figure(membership.members) ?? 0, figure(membership.members_needed) ?? 0]
  const run = async (/** @type {string} */ text) => {
    const at = text === '' ? null : new Date(text).getTime() / 1000
    const after = await ask('POST', 'group/start', { at })
    await changed(after, say('announcedFor', { moment: moment(figure(after?.membership?.next_at) ?? 0) }))
  }
  return block(say('announceSum'), el('p', {}, say('announceText')), there < needed
    ? nothing(say('announceTooFew', { needed: number(needed) }))
    : lineForm(say('sumAt'), say('sumAtText'), say('announce'), sayProblem, run, { type: 'datetime-local' }))
}
