import { el, uniqueId } from '../lib/dom.js'
import { block, folded, names, nothing, own, plain, table } from './pieces.js'
import { circlePath, fitted, svg } from './svg.js'

/** @typedef {import('../ask.js').Answer<'Network'>} Network */
/** @typedef {import('../ask.js').Answer<'Link'>} Link */

const KINDS = /** @type {const} */ (['introduces', 'approved', 'learns'])
/** More than these cannot be told apart in a picture; the table has them all. */
const MOST = 80
/** Pixels that a letter of a name takes, about. */
const LETTER = 6.2
const TALLEST = 560

/**
 * Who learns with whom, by what this instance knows: whom it approved, whom peers introduce, who was in its rounds.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @param {import('./peer.js').Peer[]} peers from the daemon
 * @param {Network} found from the daemon
 * @param {(host: string) => void} open shows a peer
 * @returns {HTMLElement} the part
 */
export function network ({ say }, peers, found, open) {
  const near = new Set(peers.filter(({ state }) => ['approved', 'paused'].includes(state)).map(({ host }) => host))
  for (const { of, to, what } of found.links) if (what === 'learns') for (const host of [of, to]) near.add(host)
  near.delete(found.host)
  const hosts = [...near].sort().slice(0, MOST)
  if (hosts.length === 0) return block(say('network'), nothing(say('noNetwork')))
  const shown = new Set([found.host, ...hosts])
  const links = found.links.filter(({ of, to }) => shown.has(of) && shown.has(to))
  const told = el('p', { class: 'muted-2 shoal-told' }, say('pointAtPeer'))
  const partners = (/** @type {string} */ host, /** @type {Link['what']} */ what, /** @type {'of' | 'to'} */ side) => (
    links.filter(link => link.what === what && link[side] === host).map(link => link[side === 'of' ? 'to' : 'of']))
  const picture = fitted('shoal-network', width => [drawing(say, found.host, hosts, links, width, open, host => {
    const learns = host ? partners(host, 'learns', 'to').length : 0
    told.textContent = host ? say('pointedAt', { host: plain(host, 100), count: String(learns) }) : say('pointAtPeer')
  })])
  return block(say('network'), el('p', {}, say('networkText')),
    el('figure', { class: 'shoal-figure' },
      el('figcaption', { class: 'shoal-legend' }, ...KINDS.toReversed().filter(what => links.some(link => link.what === what)).map(what => (
        el('span', {}, svg('svg', { width: 32, height: 14, viewBox: '0 0 32 14', 'aria-hidden': 'true' },
          svg('path', { class: `shoal-link shoal-link-${what}`, d: 'M1 7H31' })), say(`link_${what}`))))),
      picture, told,
      folded(say('asTable'), table(say('network'), [say('instance'), say('learnsFrom'), say('givesTo'), say('introducesWhom')],
        [...shown].map(host => [
          own(host), names(partners(host, 'learns', 'to'), '–'), names(partners(host, 'learns', 'of'), '–'),
          names(partners(host, 'introduces', 'of'), '–')
        ])))))
}

/**
 * @param {import('./admin.js').Admin['say']} say the page's sentences
 * @param {string} me this instance, in the middle
 * @param {string[]} hosts around it
 * @param {Link[]} links between them
 * @param {number} width pixels
 * @param {(host: string) => void} open shows a peer
 * @param {(host: string) => void} tell says what the pointer is at
 */
function drawing (say, me, hosts, links, width, open, tell) {
  const size = Math.min(width, TALLEST)
  const room = Math.min(size * 0.3, Math.max(...hosts.map(({ length }) => length)) * LETTER + 8)
  const radius = size / 2 - room - 8
  const middle = { x: width / 2, y: size / 2 }
  const angle = (/** @type {number} */ place) => place / hosts.length * 2 * Math.PI - Math.PI / 2
  const places = new Map(hosts.map((host, place) => [host, {
    x: middle.x + radius * Math.cos(angle(place)), y: middle.y + radius * Math.sin(angle(place))
  }]))
  places.set(me, middle)
  const line = (/** @type {Link} */ { of, to }) => {
    const [a, b] = [places.get(of) ?? middle, places.get(to) ?? middle]
    // Lines between peers bend to the middle, so that they do not run along the rim.
    const bend = [(a.x + b.x) / 2 * 0.6 + middle.x * 0.4, (a.y + b.y) / 2 * 0.6 + middle.y * 0.4]
    return `M${a.x.toFixed(1)} ${a.y.toFixed(1)}Q${bend.map(value => value.toFixed(1)).join(' ')} ${b.x.toFixed(1)} ${b.y.toFixed(1)}`
  }
  const [title, description] = [uniqueId('network'), uniqueId('network')]
  const learning = links.filter(({ what }) => what === 'learns').length
  const drawn = svg('svg', { role: 'img', 'aria-labelledby': `${title} ${description}`, width, height: size, viewBox: `0 0 ${width} ${size}` },
    svg('title', { id: title }, say('network')),
    svg('desc', { id: description }, say('networkDescribed', { peers: String(hosts.length), links: String(learning) })),
    ...KINDS.map(what => svg('path', { class: `shoal-link shoal-link-${what}`, d: links.filter(link => link.what === what).map(line).join('') })))
  const lit = svg('path', { class: 'shoal-link shoal-link-lit' })
  drawn.append(lit)
  const at = (/** @type {string} */ host) => {
    lit.setAttribute('d', host ? links.filter(({ of, to }) => of === host || to === host).map(line).join('') : '')
    tell(host)
  }
  const most = Math.max(4, Math.floor(room / LETTER))
  for (const [place, host] of hosts.entries()) {
    const { x, y } = places.get(host) ?? middle
    const turned = Math.cos(angle(place)) < -1e-9
    const degrees = angle(place) * 180 / Math.PI + (turned ? 180 : 0)
    const text = plain(host, 200)
    const node = svg('g', { class: 'shoal-node' },
      svg('path', { d: circlePath(x, y, 6) }),
      svg('text', {
        x: turned ? x - 12 : x + 12, y: y + 4, 'text-anchor': turned ? 'end' : 'start', transform: `rotate(${degrees.toFixed(1)} ${x.toFixed(1)} ${y.toFixed(1)})`
      }, text.length > most ? `${text.slice(0, most - 1)}…` : text))
    node.addEventListener('pointerenter', () => { at(host) })
    node.addEventListener('pointerleave', () => { at('') })
    node.addEventListener('click', () => { open(host) })
    drawn.append(node)
  }
  drawn.append(svg('g', { class: 'shoal-node-own' }, svg('path', { d: circlePath(middle.x, middle.y, 9) })))
  return drawn
}
