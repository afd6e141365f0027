/** @typedef {import('@peertube/peertube-types/client').RegisterClientHelpers} Helpers */

/**
 * Sentences in the viewer's language. Calling it with a name gives the sentence; `{word}` in it is replaced by a value.
 *
 * @template {string} N
 * @typedef {((name: N, values?: Record<string, string | number>) => string)
 *   & { counted: (one: N, other: N, count: number) => string }} Say
 */

/**
 * Load the viewer's language for a set of sentences. What has no translation, or cannot be loaded, stays English.
 *
 * @template {string} N
 * @param {Helpers} helpers PeerTube's helpers
 * @param {Record<N, string>} sentences English sentences by name
 * @returns {Promise<Say<N>>} the sentences, ready to say
 */
export async function loadTexts (helpers, sentences) {
  const names = /** @type {N[]} */ (Object.keys(sentences))
  const translated = await Promise.all(names.map(name => translate(helpers, sentences[name])))
  const texts = new Map(names.map((name, place) => [name, translated[place] ?? sentences[name]]))

  /** @type {(name: N, values?: Record<string, string | number>) => string} */
  const say = (name, values = {}) => fill(texts.get(name) ?? '', values)

  return Object.assign(say, {
    /** @type {(one: N, other: N, count: number) => string} */
    counted: (one, other, count) => say(isOne(count) ? one : other, { count: number(count) })
  })
}

/**
 * One sentence in the viewer's language, or as it is.
 *
 * @param {Helpers} helpers PeerTube's helpers
 * @param {string} sentence English
 * @returns {Promise<string>} translated
 */
export async function translate (helpers, sentence) {
  try {
    return await helpers.translate(sentence) || sentence
  } catch {
    return sentence
  }
}

/**
 * Language of the page.
 *
 * @returns {string} a language tag that `Intl` accepts
 */
export function language () {
  try {
    return Intl.getCanonicalLocales(document.documentElement.lang)[0] ?? 'en'
  } catch {
    return 'en'
  }
}

/**
 * @param {number} value any number
 * @returns {string} as written in the viewer's language
 */
export function number (value) {
  return new Intl.NumberFormat(language()).format(value)
}

/**
 * @param {number} value a fraction between 0 and 1
 * @returns {string} as a percentage
 */
export function percent (value) {
  return new Intl.NumberFormat(language(), { style: 'percent', maximumFractionDigits: 0 }).format(value)
}

/**
 * @param {number} seconds Unix seconds
 * @returns {string} the day
 */
export function day (seconds) {
  return new Intl.DateTimeFormat(language(), { dateStyle: 'medium' }).format(new Date(seconds * 1000))
}

/**
 * @param {number} seconds Unix seconds
 * @returns {string} the day and the time of day
 */
export function moment (seconds) {
  return new Intl.DateTimeFormat(language(), { dateStyle: 'medium', timeStyle: 'short' })
    .format(new Date(seconds * 1000))
}

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

const SIZES = /** @type {const} */ (['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'])

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

/**
 * What a server says in English, in the viewer's language where there is a translation of all of it or of each of its
 * sentences. In a translation numbers are gaps `{0}`, `{1}`, and what is talked about is the gap `{subject}`.
 *
 * @param {Helpers} helpers PeerTube's helpers
 * @param {string} text of the server
 * @param {string} [subject] a host or an id that it may name
 * @returns {Promise<string>} translated, or as it is
 */
export async function serverText (helpers, text, subject = '') {
  const whole = await serverSentence(helpers, text, subject)
  if (whole !== text) return whole
  const sentences = text.split(/(?<=[.!?]) (?=\p{Lu})/u)
  const said = await Promise.all(sentences.map(sentence => serverSentence(helpers, sentence, subject)))
  // Half in one language and half in another is worse than English.
  return said.every((sentence, place) => sentence !== sentences[place]) ? said.join(' ') : text
}

/**
 * @param {Helpers} helpers PeerTube's helpers
 * @param {string} text of the server
 * @param {string} subject a host or an id that it may name
 */
async function serverSentence (helpers, text, subject) {
  /** @type {string[]} */
  const numbers = []
  const named = subject ? text.replaceAll(subject, '{subject}') : text
  const pattern = named.replace(/\d+/g, digits => `{${numbers.push(digits) - 1}}`)
  const translated = await translate(helpers, pattern)
  return translated.replace(/\{(\w+)\}/g, (gap, name) => name === 'subject' ? subject : numbers[Number(name)] ?? gap)
}

/**
 * Words joined as the language does ("a, b and c"). Each keeps its own direction of writing.
 *
 * @param {string[]} words written by anybody
 * @returns {string} the list
 */
export function listed (words) {
  return new Intl.ListFormat(language(), { type: 'conjunction' }).format(words.map(isolated))
}

/**
 * A text that cannot turn the writing direction of what stands around it.
 *
 * @param {string} text written by anybody
 * @returns {string} between Unicode isolates
 */
export function isolated (text) {
  return `\u2068${text.replace(/[\u202A-\u202E\u2066-\u2069]/g, '')}\u2069`
}

/**
 * @param {number} count how many
 * @returns {boolean} whether the language uses its singular for it
 */
function isOne (count) {
  return new Intl.PluralRules(language()).select(count) === 'one'
}

/**
 * @param {string} sentence with `{word}` gaps
 * @param {Record<string, string | number>} values what goes into them
 * @returns {string} filled; an unknown gap stays as it is
 */
function fill (sentence, values) {
  return sentence.replace(/\{(\w+)\}/g, (gap, word) => String(values[word] ?? gap))
}
