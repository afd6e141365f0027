import { actionButton, confirmed, problemLine, savingSwitch } from '../lib/controls.js'
import { el, safeLink } from '../lib/dom.js'
import { isolated, number } from '../lib/texts.js'
import { approve } from './approve.js'
import { moment } from './numbers.js'
import { badge, code, facts, figure, folded, many, names, own, plain } from './pieces.js'

/** @typedef {import('../ask.js').Answer<'Peer'>} Peer */

/** @typedef {(host: string, news: string) => Promise<void>} Changed */

/**
 * One peer: how it stands, and what can be decided about it.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @param {Peer} peer from the daemon
 * @param {Changed} changed called after a decision
 * @returns {HTMLElement} an entry of a list
 */
export function peerEntry (admin, peer, changed) {
  const { say, tell } = admin
  const problem = problemLine()
  return el('li', { class: 'shoal-peer', tabindex: '-1' },
    el('div', { class: 'shoal-peer-head' },
      el('h3', {}, own(peer.host)),
      stateBadge(say, peer),
      peer.bound || !peer.key ? null : badge(say('unbound'), 'yellow'),
      peer.on_word_alone ? badge(say('onWordAlone'), 'yellow') : null),
    el('p', {}, tell(...peer.sentences)),
    peer.next_key_words?.length ? el('p', { class: 'shoal-warning' }, say('newKey')) : null,
    ...decisions(admin, peer, problem, changed),
    problem,
    folded(say('aboutPeer'), details(say, peer)))
}

/**
 * @param {import('./admin.js').Admin['say']} say the page's sentences
 * @param {Peer} peer from the daemon
 */
function stateBadge (say, { state }) {
  switch (state) {
    case 'approved': return badge(say('peerApproved'), 'green')
    case 'paused': return badge(say('peerPaused'), 'yellow')
    case 'removed': return badge(say('peerRemoved'), 'secondary')
    case 'reverted': return badge(say('peerReverted'), 'red')
    default: return badge(say('peerCandidate'), 'secondary')
  }
}

/**
 * @param {import('./admin.js').Admin} admin the page
 * @param {Peer} peer from the daemon
 * @param {HTMLElement} problem where a failure is said
 * @param {Changed} changed called after a decision
 * @returns {HTMLElement[]} switch and buttons
 */
function decisions (admin, peer, problem, changed) {
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
  const reverting = admin.link('revert', say('revertPeer'), peer.host)
  reverting.setAttribute('aria-label', say('revertPeerNamed', { host }))
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
 */
function details (say, peer) {
  const known = many(peer.words)
  return facts([
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
