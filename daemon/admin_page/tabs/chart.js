import { el, uniqueId } from '../lib/dom.js'
import { day } from '../lib/texts.js'
import { decimal } from './numbers.js'
import { figure, folded, nothing, plain, table } from './pieces.js'

/** One trained model. @typedef {{ at: number, model: string, kind: string, state: string, local: number | null, federated: number | null }} Point */

/** @typedef {'local' | 'federated'} Line */

/** @type {Line[]} */
const LINES = ['local', 'federated']
/** States of models that viewers never saw. */
const HELD = new Set(['quarantined', 'awaiting'])
const HEIGHT = 240
const EDGE = { top: 12, bottom: 28, start: 48, end: 12 }
const STEPS = 4
/** Narrower than this, two dates on the axis would touch. */
const DATES_APART = 110

/**
 * Quality of models over time: one line for what the instance learnt alone, one for what it learnt with others. Drawn
 * as wide as there is room, so that its letters keep their size; the same numbers are below it in a table.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @param {Point[]} given from the daemon
 * @returns {HTMLElement} the chart
 */
export function qualityChart (admin, given) {
  const { say } = admin
  const points = given
    .filter(({ at, local, federated }) => figure(at) !== null && (figure(local) !== null || figure(federated) !== null))
    .sort((a, b) => a.at - b.at)
  if (points.length === 0) return nothing(say('noQuality'))

  const figureBox = el('div', { class: 'shoal-chart' })
  let drawn = 0
  const observer = new ResizeObserver(([entry]) => {
    const width = Math.floor(entry?.contentRect.width ?? 0)
    if (width < 100 || width === drawn) return
    drawn = width
    figureBox.replaceChildren(drawing(admin, points, width))
  })
  observer.observe(figureBox)

  return el('figure', { class: 'shoal-figure' },
    el('figcaption', { class: 'shoal-legend' },
      ...LINES.map(line => el('span', {}, sample(line), say(line === 'local' ? 'lineLocal' : 'lineFederated'))),
      points.some(({ state }) => HELD.has(state)) ? el('span', {}, sample('held'), say('lineHeld')) : null),
    figureBox,
    folded(say('asTable'), numbers(admin, points)))
}

/**
 * @param {import('./admin.js').Admin} admin the page
 * @param {Point[]} points oldest first
 */
function numbers ({ say }, points) {
  const value = (/** @type {unknown} */ given) => figure(given) === null ? '–' : decimal(/** @type {number} */ (given))
  return table(say('quality'),
    [say('day'), say('model'), say('state'), { title: say('lineLocal'), number: true }, { title: say('lineFederated'), number: true }],
    points.toReversed().map(point => [
      day(point.at), el('bdi', {}, plain(point.model, 60)), stateText(say, point.state), value(point.local), value(point.federated)
    ]))
}

/**
 * State of a model in words.
 *
 * @param {import('./admin.js').Admin['say']} say the page's sentences
 * @param {unknown} state of the daemon
 * @returns {string} a word or two
 */
export function stateText (say, state) {
  switch (state) {
    case 'current': return say('stateCurrent')
    case 'ready': return say('stateReady')
    case 'awaiting': return say('stateAwaiting')
    case 'quarantined': return say('stateQuarantined')
    case 'deleted': return say('stateDeleted')
    default: return plain(state, 40)
  }
}

/**
 * @param {import('./admin.js').Admin} admin the page
 * @param {Point[]} points oldest first
 * @param {number} width pixels
 */
function drawing ({ say }, points, width) {
  const rtl = getComputedStyle(document.documentElement).direction === 'rtl'
  const [first, last] = [points[0], points[points.length - 1]]
  const [from, to] = [first?.at ?? 0, last?.at ?? 0]
  const values = points.flatMap(({ local, federated }) => [local, federated]).flatMap(value => figure(value) ?? [])
  const top = ceiling(Math.max(...values))
  const inner = width - EDGE.start - EDGE.end
  const x = (/** @type {number} */ at) => {
    const along = to > from ? (at - from) / (to - from) * inner : inner / 2
    return rtl ? width - EDGE.start - along : EDGE.start + along
  }
  const y = (/** @type {number} */ value) => HEIGHT - EDGE.bottom - value / top * (HEIGHT - EDGE.top - EDGE.bottom)

  const [title, description] = [uniqueId('chart'), uniqueId('chart')]
  const drawn = svg('svg', {
    role: 'img', 'aria-labelledby': `${title} ${description}`, width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`
  })
  drawn.append(svg('title', { id: title }, say('quality')), svg('desc', { id: description }, described(say, points)))

  for (let step = 0; step <= STEPS; step++) {
    const value = top * step / STEPS
    drawn.append(
      svg('path', { class: 'shoal-grid', d: `M${rtl ? EDGE.end : EDGE.start} ${y(value)}H${width - (rtl ? EDGE.start : EDGE.end)}` }),
      svg('text', { x: rtl ? width - EDGE.start + 8 : EDGE.start - 8, y: y(value) + 4, 'text-anchor': 'end' }, decimal(value, top < 0.04 ? 3 : 2)))
  }
  const dates = to === from ? [from] : inner < 2 * DATES_APART ? [from, to] : [from, (from + to) / 2, to]
  for (const at of dates) {
    const place = to === from ? 'middle' : at === from ? 'start' : at === to ? 'end' : 'middle'
    drawn.append(svg('text', { x: x(at), y: HEIGHT - 8, 'text-anchor': place }, day(at)))
  }
  for (const line of LINES) {
    const known = points.filter(point => figure(point[line]) !== null)
    const seen = known.filter(({ state }) => line === 'local' || !HELD.has(state))
    drawn.append(svg('path', {
      class: `shoal-line shoal-line-${line}`,
      d: seen.map((point, place) => `${place ? 'L' : 'M'}${x(point.at)} ${y(/** @type {number} */ (point[line]))}`).join('')
    }))
    for (const point of known) {
      const held = line === 'federated' && HELD.has(point.state)
      const at = { x: x(point.at), y: y(/** @type {number} */ (point[line])) }
      const mark = marker(held ? 'held' : line, at)
      mark.append(svg('title', {}, `${day(point.at)} · ${say(line === 'local' ? 'lineLocal' : 'lineFederated')}: ${decimal(/** @type {number} */ (point[line]))} · ${stateText(say, point.state)}`))
      drawn.append(mark)
    }
  }
  return drawn
}

/**
 * The chart in a sentence or two.
 *
 * @param {import('./admin.js').Admin['say']} say the page's sentences
 * @param {Point[]} points oldest first
 */
function described (say, points) {
  return LINES.map(line => {
    const known = points.flatMap(point => figure(point[line]) ?? [])
    const [first, last] = [known[0], known[known.length - 1]]
    if (first === undefined || last === undefined) return ''
    return say(line === 'local' ? 'describedLocal' : 'describedFederated', { first: decimal(first), last: decimal(last) })
  }).filter(Boolean).join(' ')
}

/** @param {Line | 'held'} kind of mark */
function sample (kind) {
  const box = svg('svg', { width: 32, height: 14, viewBox: '0 0 32 14', 'aria-hidden': 'true' })
  if (kind !== 'held') box.append(svg('path', { class: `shoal-line shoal-line-${kind}`, d: 'M1 7H31' }))
  box.append(marker(kind, { x: 16, y: 7 }))
  return box
}

/** @param {Line | 'held'} kind of mark @param {{ x: number, y: number }} at its middle */
function marker (kind, { x, y }) {
  if (kind === 'held') return svg('path', { class: 'shoal-mark-held', d: `M${x - 4} ${y - 4}l8 8m0 -8l-8 8` })
  // Told apart by shape as well as by colour.
  return kind === 'local'
    ? svg('rect', { class: 'shoal-mark-local', x: x - 4, y: y - 4, width: 8, height: 8 })
    : svg('circle', { class: 'shoal-mark-federated', cx: x, cy: y, r: 4.5 })
}

/** The next number above that reads well on an axis. @param {number} value the largest */
function ceiling (value) {
  if (!(value > 0)) return 1
  const power = 10 ** Math.floor(Math.log10(value))
  return (([1, 2, 4, 5, 8, 10].find(step => step * power >= value)) ?? 10) * power
}

/**
 * @param {string} tag of an SVG element
 * @param {Record<string, string | number>} attributes of it
 * @param {...(Node | string)} children in it
 * @returns {SVGElement} the element
 */
function svg (tag, attributes, ...children) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag)
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value))
  element.append(...children)
  return element
}
