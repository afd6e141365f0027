import { actionButton, confirmed, problemLine, savingSwitch } from '../lib/controls.js'
import { el, safeLink } from '../lib/dom.js'
import { isolated, number } from '../lib/texts.js'
import { approve } from './approve.js'
import { moment, size } from './numbers.js'
import { badge, code, facts, figure, folded, many, names, plain } from './pieces.js'
import { revertPanel } from './revert.js'

/** @typedef {import('../ask.js').Answer<'Peer'>} Peer */

/** @typedef {(host: string, news: string) => Promise<void>} Changed */

/**
 * One peer below its row: what is missing, what can be decided about it, what is known of it.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @param {Peer} peer from the daemon
 * @param {import('../ask.js').Answer<'PeerActivity'> | undefined} activity what it has to do with this instance
 * @param {import('../ask.js').Answer<'Cohort'>} cohort whether there are enough peers for a sum
 * @param {HTMLElement} taking where it is taken out; it stays while the row is drawn anew
 * @param {Changed} changed called after a decision
 * @returns {HTMLElement} all of it
 */
export function peerDetails (admin, peer, activity, cohort, taking, changed) {
  const { say, tell } = admin
  const problem = problemLine()
  return el('div', { class: 'shoal-details' },
    el('p', {}, tell(...peer.sentences)),
    peer.next_key_words?.length ? el('p', { class: 'shoal-warning' }, say('newKey')) : null,
    ...decisions(admin, peer, problem, changed, revertButton(admin, peer, cohort, taking, changed)),
    problem, taking,
    folded(say('aboutPeer'), details(say, peer, activity)))
}

/**
 * How a peer stands.
 *
 * @param {import('./admin.js').Admin['say']} say the page's sentences
 * @param {Peer} peer from the daemon
 * @returns {HTMLElement[]} one label or more
 */
export function stateBadge (say, { state, theirs, bound, key, on_word_alone: alone, next_key_words: words }) {
  const asking = state === 'candidate' && (theirs === 'asked' || theirs === 'approved')
  return [
    stateOf(say, asking ? 'asking' : state),
    ...(state === 'approved' && theirs !== 'approved' ? [badge(say('oneSided'), 'yellow')] : []),
    ...(many(words).length ? [badge(say('noticeKey'), 'red')] : []),
    ...(bound || !key ? [] : [badge(say('unbound'), 'yellow')]),
    ...(alone ? [badge(say('onWordAlone'), 'yellow')] : [])
  ]
}

/**
 * @param {import('./admin.js').Admin['say']} say the page's sentences
 * @param {string} state of a peer
 */
function stateOf (say, state) {
  switch (state) {
    case 'approved': return badge(say('peerApproved'), 'green')
    case 'paused': return badge(say('peerPaused'), 'yellow')
    case 'removed': return badge(say('peerRemoved'), 'secondary')
    case 'reverted': return badge(say('peerReverted'), 'red')
    case 'asking': return badge(say('stateAsks'), 'yellow')
    default: return badge(say('peerCandidate'), 'secondary')
  }
}

/**
 * Opens the way to a revert, inside the peer's row.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @param {Peer} peer from the daemon
 * @param {any} cohort whether there are enough peers for a sum
 * @param {HTMLElement} place where it is shown
 * @param {Changed} changed called after a revert
 */
function revertButton (admin, peer, cohort, place, changed) {
  const host = isolated(plain(peer.host))
  return el('button', {
    type: 'button',
    class: 'peertube-button peertube-button-small secondary-button',
    'aria-label': admin.say('revertPeerNamed', { host }),
    click: () => {
      place.replaceChildren(revertPanel(admin, peer, cohort, changed))
      place.querySelector('h3')?.focus()
    }
  }, admin.say('revertPeer'))
}

/**
 * @param {import('./admin.js').Admin} admin the page
 * @param {Peer} peer from the daemon
 * @param {HTMLElement} problem where a failure is said
 * @param {Changed} changed called after a decision
 * @param {HTMLElement} reverting the way to a revert
 * @returns {HTMLElement[]} switch and buttons
 */
function decisions (admin, peer, problem, changed, reverting) {
  const { say, sayProblem, ask } = admin
  const host = isolated(plain(peer.host))
  const order = (/** @type {'approve' | 'pause' | 'resume' | 'remove'} */ what, /** @type {any} */ body) => (
    ask('POST', `peers/${encodeURIComponent(peer.host)}/${what}`, body))
  const button = (/** @type {string} */ text, /** @type {string} */ label, /** @type {() => Promise<void>} */ run, look = 'secondary') => (
    actionButton({
      text, label: `${text} ${label}`, small: true, look: /** @type {'primary'} */ (look), problem, sayProblem, run
    }))

  const approving = (/** @type {string} */ text, look = 'secondary') => button(text, host, async () => {
    const decision = await approve(admin, peer)
    if (!decision) return
    await order('approve', decision)
    await changed(peer.host, say('approvedNow', { host }))
  }, look)
  const removing = (/** @type {string} */ text) => button(text, host, async () => {
    const sure = await confirmed({
      title: say('removeTitle', { host }), text: say('removeText'), yes: say('remove'), no: say('cancel')
    })
    if (!sure) return
    await order('remove', {})
    await changed(peer.host, say('removedNow', { host }))
  })
  const row = (/** @type {HTMLElement[]} */ ...parts) => el('div', { class: 'shoal-actions' }, ...parts)

  if (peer.state === 'approved' || peer.state === 'paused') {
    const together = savingSwitch({
      label: say('together', { host }),
      checked: peer.state === 'approved',
      sayProblem,
      save: async wanted => {
        await order(wanted ? 'resume' : 'pause', {})
        await changed(peer.host, say(wanted ? 'approvedNow' : 'pausedNow', { host }))
      }
    })
    return [together, row(
      approving(peer.next_key_words?.length ? say('lookAtNewKey') : say('wordsAndLimit'), peer.next_key_words?.length ? 'primary' : 'secondary'),
      removing(say('removeNow')), reverting)]
  }
  if (many(peer.words).length === 0) {
    return [row(button(say('askKey'), host, async () => {
      await ask('POST', 'peers', { host: peer.host }, 90_000)
      await changed(peer.host, say('askedKey', { host }))
    }))]
  }
  const asked = peer.theirs === 'asked' || peer.theirs === 'approved'
  return [row(
    approving(say('approveNow'), 'primary'),
    ...(peer.state === 'candidate' ? [removing(say(asked ? 'declineNow' : 'removeNow'))] : []),
    ...(peer.state === 'removed' ? [reverting] : []))]
}

/**
 * @param {import('./admin.js').Admin['say']} say the page's sentences
 * @param {Peer} peer from the daemon
 * @param {import('../ask.js').Answer<'PeerActivity'> | undefined} activity what it has to do with this instance
 */
function details (say, peer, activity) {
  const known = many(peer.words)
  return facts([
    activity ? [say('bytesMonths'), say('bytesBoth', { now: size(activity.bytes), before: size(activity.bytes_before) })] : null,
    many(activity?.vouched_by).length ? [say('namedBy'), names(activity?.vouched_by, say('nobody'))] : null,
    [say('address'), peer.url ? safeLink(plain(peer.url), plain(peer.url)) : '–'],
    [say('source'), sourceText(say, peer)],
    many(peer.introduced_by).length ? [say('introducers'), names(peer.introduced_by, say('nobody'))] : null,
    [say('version'), plain(peer.version, 40) || say('notKnown')],
    [say('lastSeen'), figure(peer.seen) === null ? say('never') : moment(/** @type {number} */ (peer.seen))],
    peer.failures ? [say('failures'), figure(peer.retry_at) === null
      ? number(peer.failures)
      : say('failuresRetry', { count: number(peer.failures), moment: moment(/** @type {number} */ (peer.retry_at)) })] : null,
    [say('theirUsers'), figure(peer.users) === null ? say('notKnown') : number(/** @type {number} */ (peer.users))],
    [say('maxUsers'), figure(peer.max_users) === null ? say('generalLimit') : number(/** @type {number} */ (peer.max_users))],
    [say('boundName'), say(peer.bound ? 'boundYes' : 'boundNo')],
    known.length ? [say('words'), el('span', { lang: 'en', dir: 'ltr' }, known.map(word => plain(word, 20)).join(' '))] : null,
    peer.key ? [say('key'), code(peer.key, true)] : null
  ])
}

/**
 * @param {import('./admin.js').Admin['say']} say the page's sentences
 * @param {Peer} peer from the daemon
 */
function sourceText (say, { source, followed }) {
  if (source === 'file') return say('sourceFile')
  if (source === 'asked') return say('sourceAsked')
  if (source === 'circle') return say('sourceCircle')
  if (source === 'follow' || followed) return say('sourceFollow')
  return say('sourceAdmin')
}
