import { el } from '../lib/dom.js'
import { day } from '../lib/texts.js'
import { decimal } from './numbers.js'
import { block, figure } from './pieces.js'
import { fitted, svg } from './svg.js'

/** @typedef {{ at: number, value: number, low: number | null, high: number | null }} Measurement */

/**
 * How well the instance does alone and with others: each number with its interval, or why there is none.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @param {any} measured from the daemon
 * @returns {HTMLElement} the part
 */
export function twoNumbers ({ say, tell }, measured) {
  const sides = /** @type {const} */ (['alone', 'together'])
  /** @type {(Measurement | null)[]} */
  const [alone, together] = sides.map(side => figure(measured?.[side]?.value) === null ? null : measured[side])
  const top = Math.max(...[alone, together].flatMap(one => one ? [one.high ?? one.value] : []), 0.0001) * 1.05
  return block(say('twoNumbers'), el('p', {}, say('qualityText')),
    el('div', { class: 'shoal-sides' }, ...sides.map((side, place) => {
      const one = [alone, together][place] ?? null
      const why = measured?.[`${side}_why`]
      return el('div', { class: 'shoal-figure-card' },
        el('h3', {}, say(side === 'alone' ? 'lineLocal' : 'lineFederated')),
        one
          ? el('div', {}, el('p', { class: 'shoal-big' }, decimal(one.value)),
            el('p', { class: 'muted-2' }, one.low === null || one.high === null
              ? say('noInterval', { day: day(one.at) })
              : say('interval', { low: decimal(one.low), high: decimal(one.high), day: day(one.at) })),
            bar(side, one, top))
          : el('p', { class: 'muted-2' }, why ? tell(why) : say('noQuality')))
    })),
    alone && together ? el('p', {}, el('strong', {}, say(comparison(alone, together)))) : null)
}

/** @param {Measurement} alone the local model's @param {Measurement} together of the one learnt with others */
function comparison (alone, together) {
  if (alone.low === null || alone.high === null || together.low === null || together.high === null) return 'compareUnknown'
  if (together.low > alone.high) return 'compareBetter'
  return together.high < alone.low ? 'compareWorse' : 'compareSame'
}

/**
 * The number and its interval on the scale of both.
 *
 * @param {'alone' | 'together'} side which
 * @param {Measurement} one to draw
 * @param {number} top end of the scale
 */
function bar (side, { value, low, high }, top) {
  return fitted('shoal-interval', (width, rtl) => {
    const x = (/** @type {number} */ at) => rtl ? width - at / top * width : at / top * width
    const [from, to] = [x(low ?? value), x(high ?? value)]
    return [svg('svg', { width, height: 16, viewBox: `0 0 ${width} 16`, 'aria-hidden': 'true' },
      svg('path', { class: 'shoal-grid', d: `M0 8H${width}` }),
      svg('path', { class: `shoal-band shoal-band-${side}`, d: `M${from} 3H${to}V13H${from}Z` }),
      svg('path', { class: `shoal-middle shoal-middle-${side}`, d: `M${x(value)} 0V16` }))]
  })
}
