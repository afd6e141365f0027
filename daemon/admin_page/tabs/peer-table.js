import { el, uniqueId } from '../lib/dom.js'
import { day, number } from '../lib/texts.js'
import { size } from './numbers.js'
import { paged } from './paged.js'
import { peerDetails, stateBadge } from './peer.js'
import { block, figure, many, names, own } from './pieces.js'

/** @typedef {import('./peer.js').Peer} Peer */
/** @typedef {import('../ask.js').Answer<'PeerActivity'>} Activity */

/** Kinds of peers, from what waits to what is over. @satisfies {Record<string, (peer: Peer) => boolean>} */
const KINDS = {
  requests: peer => peer.state === 'candidate' && asks(peer),
  yourPeers: peer => ['approved', 'paused'].includes(peer.state),
  candidates: peer => peer.state === 'candidate' && !asks(peer),
  formerPeers: peer => ['removed', 'reverted'].includes(peer.state)
}
/** Of so many requests, each is open from the beginning. */
const OPEN_AT_FIRST = 2

/**
 * All peers and candidates, a row each, which opens.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @param {import('./peer.js').Changed} changed called after a decision
 */
export function peerTable (admin, changed) {
  const { say } = admin
  const kinds = /** @type {(keyof typeof KINDS)[]} */ (Object.keys(KINDS))
  /** @type {Peer[]} */
  let all = []
  /** @type {Map<string, Activity>} */
  let activities = new Map()
  /** @type {import('../ask.js').Answer<'Cohort'>} */
  let cohort
  /** @type {Set<string>} */
  const opened = new Set()
  /** @type {Set<string>} */
  const seen = new Set()
  /** Where each is taken out: a report stays while rows are drawn anew. @type {Map<string, HTMLElement>} */
  const taking = new Map()
  const id = uniqueId('kind')
  const select = el('select', { id, class: 'form-control', change: () => { fill() } })
  const list = paged(say, { label: say('searchPeers'), empty: say('noPeers'), text: (/** @type {Peer} */ { host }) => host, draw: table })
  const element = block(say('tab_peers'),
    el('div', { class: 'shoal-search' }, el('label', { for: id }, say('showPeers')), select), list.element)

  return {
    element,
    hosts: () => new Set(all.map(({ host }) => host)),
    /**
     * @param {Peer[]} peers from the daemon
     * @param {import('../ask.js').Answer<'Network'>} network what each has to do with this instance
     * @param {import('../ask.js').Answer<'Cohort'>} enough whether there are enough peers for a sum
     */
    show: (peers, network, enough) => {
      const order = (/** @type {Peer} */ peer) => kinds.findIndex(kind => KINDS[kind](peer))
      all = peers.toSorted((a, b) => order(a) - order(b) || a.host.localeCompare(b.host))
      activities = new Map(network.peers.map(one => [one.host, one]))
      cohort = enough
      const asking = all.filter(KINDS.requests)
      for (const { host } of asking.length <= OPEN_AT_FIRST ? asking : []) {
        if (!seen.has(host)) opened.add(host)
        seen.add(host)
      }
      const chosen = select.value
      select.replaceChildren(el('option', { value: '' }, say('allPeers', { count: number(all.length) })),
        ...kinds.map(kind => el('option', { value: kind }, say('kindCount', { kind: say(kind), count: number(all.filter(KINDS[kind]).length) }))))
      select.value = chosen
      fill()
    },
    /**
     * @param {string} host of a peer
     * @param {boolean} [open] whether to open its row
     * @returns {boolean} whether there is one
     */
    focus: (host, open = false) => {
      if (!all.some(peer => peer.host === host)) return false
      if (open) opened.add(host)
      if (!shown().some(peer => peer.host === host)) select.value = ''
      fill()
      list.reveal(peer => peer.host === host)
      const body = [...element.querySelectorAll('tbody')].find(({ dataset }) => dataset.host === host)
      if (body && !body.contains(document.activeElement)) body.querySelector('button')?.focus()
      return true
    }
  }

  /** @param {string} host of a peer */
  function takingOf (host) {
    const place = taking.get(host) ?? el('div', {})
    taking.set(host, place)
    return place
  }

  function shown () {
    const kind = kinds.find(name => name === select.value)
    return kind ? all.filter(KINDS[kind]) : all
  }

  function fill () {
    list.show(shown())
  }

  /** @param {Peer[]} peers of a page */
  function table (peers) {
    const columns = /** @type {const} */ ([['instance'], ['state'], ['users', true], ['videosHere', true], ['lastRound'], ['bytesMonth', true], ['namedBy']])
    return el('table', { class: 'shoal-table shoal-peers', role: 'table', 'aria-label': say('tab_peers') },
      el('thead', { role: 'rowgroup' }, el('tr', { role: 'row' }, ...columns.map(([name, numeric]) => (
        el('th', { role: 'columnheader', scope: 'col', class: numeric ? 'shoal-number' : undefined }, say(name)))))),
      ...peers.map(peer => row(peer, columns.map(([name]) => say(name)))))
  }

  /**
   * @param {Peer} peer from the daemon
   * @param {string[]} titles of the columns
   */
  function row (peer, titles) {
    const known = activities.get(peer.host)
    const inner = el('td', { role: 'cell', colspan: String(titles.length) })
    const below = el('tr', { role: 'row', class: 'shoal-below', id: uniqueId('peer'), hidden: true }, inner)
    const toggle = (/** @type {boolean} */ open) => {
      if (open) inner.replaceChildren(peerDetails(admin, peer, known, cohort, takingOf(peer.host), changed))
      else inner.replaceChildren()
      below.hidden = !open
      button.setAttribute('aria-expanded', String(open))
      if (open) opened.add(peer.host)
      else opened.delete(peer.host)
    }
    const button = el('button', {
      type: 'button', class: 'shoal-expand', 'aria-controls': below.id, 'aria-expanded': 'false', click: () => { toggle(below.hidden) }
    }, own(peer.host))
    const cell = (/** @type {number} */ place, /** @type {Node | string} */ content, look = '') => (
      el('td', { role: 'cell', class: look || undefined, 'data-label': titles[place] }, el('div', {}, content)))
    const count = (/** @type {unknown} */ value) => figure(value) === null ? '–' : number(/** @type {number} */ (value))
    const last = figure(known?.last_round)
    const vouchers = many(known?.vouched_by)
    const made = el('tbody', { role: 'rowgroup', class: 'shoal-peer', 'data-host': peer.host },
      el('tr', { role: 'row' },
        el('td', { role: 'cell', class: 'shoal-first' }, button),
        cell(1, el('span', { class: 'shoal-badges' }, ...stateBadge(say, peer))),
        cell(2, count(peer.users), 'shoal-number'),
        cell(3, count(known?.videos), 'shoal-number'),
        cell(4, last === null ? '–' : day(last)),
        cell(5, known && known.bytes + known.bytes_before > 0 ? size(known.bytes) : '–', 'shoal-number'),
        cell(6, vouchers.length > 2 ? say('vouchersMany', { count: number(vouchers.length) }) : vouchers.length ? names(vouchers, '') : '–')),
      below)
    if (opened.has(peer.host)) toggle(true)
    return made
  }
}

/** @param {Peer} peer that may want to learn together */
export function asks ({ theirs }) {
  return theirs === 'asked' || theirs === 'approved'
}
