import { el, uniqueId } from '../lib/dom.js'
import { day, language, number } from '../lib/texts.js'
import { moment } from './numbers.js'
import { paged } from './paged.js'
import { block, folded, nothing, own, plain, table } from './pieces.js'
import { circlePath, fitted, svg } from './svg.js'

/** @typedef {import('../ask.js').Answer<'Timeline'>} Timeline */
/** @typedef {import('../ask.js').Answer<'Event'>} Event */
/** @typedef {{ host: string, events: Event[] }} Row */

const ROW = 22
const AXIS = 24
/** Narrower than this, two names of months would touch. */
const MONTHS_APART = 48
/** How near to a mark, in pixels, the pointer tells what it is. */
const NEAR = 9
const DAY = 86400

/** Marks from what is common to what must be seen, by what happened and how it ended. */
const MARKS = /** @type {const} */ ([
  'window-given', 'round-running', 'round-left-out', 'round-done', 'round-failed', 'model-alone', 'model-together', 'model-held', 'revert-reverted'
])
/** @typedef {typeof MARKS[number]} Mark */

/** What each looks like around a point; told apart by shape as well as by colour. @type {Record<Mark, (x: number, y: number) => string>} */
const SHAPES = {
  'window-given': (x, y) => `M${x} ${y - 6}V${y + 6}`,
  'round-running': (x, y) => circlePath(x, y, 4),
  'round-left-out': (x, y) => circlePath(x, y, 4),
  'round-done': (x, y) => circlePath(x, y, 4),
  'round-failed': (x, y) => `M${x - 4} ${y - 4}l8 8m0 -8l-8 8`,
  'model-alone': (x, y) => `M${x} ${y - 5}l5 5l-5 5l-5 -5Z`,
  'model-together': (x, y) => `M${x} ${y - 5}l5 5l-5 5l-5 -5Z`,
  'model-held': (x, y) => `M${x - 4} ${y - 4}l8 8m0 -8l-8 8`,
  'revert-reverted': (x, y) => `M${x} ${y - 9}V${y + 9}`
}

/**
 * A year of windows, rounds, models and reverts: a line for this instance and one for each peer.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @param {Timeline} found from the daemon
 * @returns {HTMLElement} the part
 */
export function timeline ({ say }, found) {
  const rows = [{ host: '', events: found.own }, ...found.peers]
  const events = rows.flatMap(row => row.events.map(event => ({ host: row.host, event })))
  if (events.length === 0) return block(say('timeline'), nothing(say('noTimeline')))
  const there = MARKS.filter(mark => events.some(({ event }) => markOf(event) === mark))
  const told = el('p', { class: 'muted-2 shoal-told' }, say('pointAt'))
  const name = (/** @type {string} */ host) => host || say('thisInstance')
  const sentence = (/** @type {string} */ host, /** @type {Event} */ event) => (
    `${moment(event.at)} · ${plain(name(host), 100)} · ${say(`mark_${markOf(event) ?? 'window-given'}`)}`)
  const picture = fitted('shoal-timeline-picture', (width, rtl) => drawing({
    say, rows, found, width, rtl, name, tell: (host, event) => { told.textContent = event ? sentence(host, event) : say('pointAt') }
  }))
  const asTable = folded(say('asTable'))
  asTable.addEventListener('toggle', () => {
    if (!asTable.open || asTable.childElementCount > 1) return
    const list = paged(say, {
      label: say('searchEvents'),
      text: (/** @type {typeof events[number]} */ { host, event }) => sentence(host, event),
      draw: shown => table(say('timeline'), [say('moment'), say('instance'), say('happened')], shown.map(({ host, event }) => [
        moment(event.at), own(name(host)), say(`mark_${markOf(event) ?? 'window-given'}`)]))
    })
    list.show(events.toSorted((a, b) => b.event.at - a.event.at))
    asTable.append(list.element)
  })
  return block(say('timeline'), el('p', {}, say('timelineText')),
    el('figure', { class: 'shoal-figure' },
      el('figcaption', { class: 'shoal-legend' }, ...there.map(mark => el('span', {}, sample(mark), say(`mark_${mark}`)))),
      // Many peers make it long: it scrolls on its own, with the months above.
      el('div', { class: 'shoal-timeline', tabindex: '0', role: 'group', 'aria-label': say('timeline') }, picture),
      told, asTable))
}

/** @param {Event} event of the daemon @returns {Mark | undefined} what stands for it; none for what a later daemon knows */
function markOf ({ what, outcome }) {
  return MARKS.find(mark => mark === `${what}-${outcome}`)
}

/**
 * @param {object} given what to draw
 * @param {import('./admin.js').Admin['say']} given.say the page's sentences
 * @param {Row[]} given.rows this instance first
 * @param {Timeline} given.found from the daemon
 * @param {number} given.width pixels
 * @param {boolean} given.rtl whether time runs from right to left
 * @param {(host: string) => string} given.name how a row is called
 * @param {(host: string, event: Event | null) => void} given.tell says what the pointer is at
 */
function drawing ({ say, rows, found, width, rtl, name, tell }) {
  const labels = Math.min(190, Math.max(96, width * 0.22))
  const inner = width - labels - 12
  const span = Math.max(1, found.until - found.since)
  const x = (/** @type {number} */ at) => {
    const along = labels + (at - found.since) / span * inner
    return rtl ? width - along : along
  }
  const y = (/** @type {number} */ row) => row * ROW + ROW / 2
  const height = rows.length * ROW
  const [title, description] = [uniqueId('timeline'), uniqueId('timeline')]
  const drawn = svg('svg', { role: 'img', 'aria-labelledby': `${title} ${description}`, width, height, viewBox: `0 0 ${width} ${height}` },
    svg('title', { id: title }, say('timeline')),
    svg('desc', { id: description }, say('timelineDescribed', {
      peers: number(rows.length - 1), events: number(rows.reduce((sum, { events }) => sum + events.length, 0))
    })))
  const all = monthsOf(found)
  const every = Math.ceil(MONTHS_APART * Math.max(1, all.length) / inner)
  const months = all.filter((_, place) => place % every === 0)
  drawn.append(svg('path', {
    class: 'shoal-grid',
    d: [...months.map(({ at }) => `M${x(at)} 0V${height}`), ...rows.map((_, row) => `M${x(found.since)} ${y(row)}H${x(found.until)}`)].join('')
  }))
  const most = Math.floor(labels / 7.2)
  for (const [row, { host, events }] of rows.entries()) {
    const text = plain(name(host), 200)
    drawn.append(svg('text', {
      class: host ? 'shoal-row-name' : 'shoal-row-name shoal-row-own', x: rtl ? width : 0, y: y(row) + 4, 'text-anchor': 'start'
    }, text.length > most ? `${text.slice(0, most - 1)}…` : text))
    for (const mark of MARKS) {
      // One path for all marks of a kind: a year with fifty peers has thousands.
      const d = events.filter(event => markOf(event) === mark).map(({ at }) => SHAPES[mark](Math.round(x(at)), y(row))).join('')
      if (d) drawn.append(svg('path', { class: `shoal-at shoal-at-${mark}`, d }))
    }
  }
  drawn.addEventListener('pointermove', event => {
    const box = drawn.getBoundingClientRect()
    const [px, row] = [event.clientX - box.left, Math.floor((event.clientY - box.top) / ROW)]
    const near = rows[row]?.events.reduce((/** @type {Event | null} */ best, one) => (
      Math.abs(x(one.at) - px) < Math.min(NEAR, best ? Math.abs(x(best.at) - px) : NEAR) ? one : best), null) ?? null
    tell(rows[row]?.host ?? '', near)
  })
  const axis = svg('svg', { class: 'shoal-axis', width, height: AXIS, viewBox: `0 0 ${width} ${AXIS}`, 'aria-hidden': 'true' },
    ...months.map(({ at, text }) => svg('text', { x: x(at), y: 16, 'text-anchor': 'start' }, text)))
  return [axis, drawn]
}

/** @param {{ since: number, until: number }} found the time @returns {{ at: number, text: string }[]} beginnings of months */
function monthsOf ({ since, until }) {
  const written = new Intl.DateTimeFormat(language(), { month: 'short' })
  const found = []
  const at = new Date(since * 1000)
  at.setHours(0, 0, 0, 0)
  for (at.setMonth(at.getMonth() + 1, 1); at.getTime() / 1000 < until; at.setMonth(at.getMonth() + 1)) {
    found.push({ at: at.getTime() / 1000, text: written.format(at) })
  }
  return found
}

/** @param {Mark} mark of the legend */
function sample (mark) {
  return svg('svg', { width: 16, height: 18, viewBox: '0 0 16 18', 'aria-hidden': 'true' },
    svg('path', { class: `shoal-at shoal-at-${mark}`, d: SHAPES[mark](8, 9) }))
}

/**
 * How many viewers took part, day by day.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @param {Timeline} found from the daemon
 * @returns {HTMLElement} the part
 */
export function viewersOverTime (admin, found) {
  const { say } = admin
  const days = found.viewers
  const newest = days[days.length - 1]
  if (!newest) return block(say('takingPart'), nothing(say('noDays')))
  const most = Math.max(...days.map(({ viewers }) => viewers))
  if (most === 0) {
    return block(say('takingPart'), nothing(say('nobodyTakesPart')), el('p', {}, admin.link('settings', say('toInvitation'), '')))
  }
  const height = 120
  const picture = fitted('shoal-viewers', (width, rtl) => {
    const from = days[0]?.day ?? 0
    // A few days are not stretched over all of it.
    const span = Math.max(newest.day - from, 30 * DAY)
    const x = (/** @type {number} */ at) => {
      const along = 44 + (at - from) / span * (width - 56)
      return rtl ? width - along : along
    }
    const y = (/** @type {number} */ value) => height - 24 - value / most * (height - 36)
    const [title, description] = [uniqueId('viewers'), uniqueId('viewers')]
    const line = days.map(({ day: at, viewers }, place) => `${place ? 'L' : 'M'}${x(at).toFixed(1)} ${y(viewers).toFixed(1)}`).join('')
    return [svg('svg', { role: 'img', 'aria-labelledby': `${title} ${description}`, width, height, viewBox: `0 0 ${width} ${height}` },
      svg('title', { id: title }, say('takingPart')),
      svg('desc', { id: description }, say('viewersDescribed', {
        first: number(days[0]?.viewers ?? 0), last: number(newest.viewers), since: day(from)
      })),
      svg('path', { class: 'shoal-grid', d: `M${x(from)} ${y(0)}H${x(from + span)}M${x(from)} ${y(most)}H${x(from + span)}` }),
      svg('text', { x: rtl ? width - 38 : 38, y: y(most) + 4, 'text-anchor': 'end' }, number(most)),
      svg('text', { x: rtl ? width - 38 : 38, y: y(0) + 4, 'text-anchor': 'end' }, number(0)),
      svg('text', { x: x(from), y: height - 6, 'text-anchor': 'start' }, day(from)),
      days.length > 1 && width > 300
        ? svg('text', { x: x(newest.day), y: height - 6, 'text-anchor': newest.day - from < span * 0.6 ? 'middle' : 'end' }, newest.day - from < span * 0.3 ? '' : day(newest.day))
        : '',
      svg('path', { class: 'shoal-line shoal-line-federated', d: line }),
      svg('path', { class: 'shoal-mark-federated', d: circlePath(x(newest.day), y(newest.viewers), 4) }))]
  })
  const asTable = folded(say('asTable'))
  asTable.addEventListener('toggle', () => {
    if (!asTable.open || asTable.childElementCount > 1) return
    const list = paged(say, {
      label: say('day'),
      text: (/** @type {typeof newest} */ one) => day(one.day),
      draw: shown => table(say('takingPart'), [say('day'), { title: say('viewersCount'), number: true }],
        shown.map(one => [day(one.day), number(one.viewers)]))
    })
    list.show(days.toReversed())
    asTable.append(list.element)
  })
  return block(say('takingPart'),
    el('p', {}, el('strong', {}, say('viewersNow', { count: number(newest.viewers) })), ' ', say('viewersPrivate')),
    picture, asTable, el('p', {}, admin.link('settings', say('toInvitation'), '')))
}
