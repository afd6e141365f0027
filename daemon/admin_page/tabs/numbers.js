import { language } from '../lib/texts.js'

export { moment } from '../lib/texts.js'

const SIZES = /** @type {const} */ (['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'])

/**
 * @param {number} value any number
 * @param {number} digits after the point
 * @returns {string} as written in the viewer's language, with exactly so many
 */
export function decimal (value, digits = 3) {
  return new Intl.NumberFormat(language(), { minimumFractionDigits: digits, maximumFractionDigits: digits })
    .format(value)
}

/**
 * @param {number} value a fraction between 0 and 1
 * @returns {string} as a percentage with one digit after the point
 */
export function finePercent (value) {
  return new Intl.NumberFormat(language(), { style: 'percent', minimumFractionDigits: 1, maximumFractionDigits: 1 })
    .format(value)
}

/**
 * @param {number} count of bytes
 * @returns {string} in a unit that people read
 */
export function size (count) {
  const power = Math.min(SIZES.length - 1, Math.floor(Math.log10(Math.max(count, 1)) / 3))
  return new Intl.NumberFormat(language(), {
    style: 'unit', unit: SIZES[power], unitDisplay: power === 0 ? 'long' : 'short', maximumFractionDigits: 1
  }).format(count / 1000 ** power)
}
