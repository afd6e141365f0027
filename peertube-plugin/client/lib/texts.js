/** What translates a sentence: PeerTube's helpers do. @typedef {{ translate: (text: string) => Promise<string> }} Translator */

/** Of a longer list, as many are named. */
const MOST_NAMED = 5

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
 * @param {Translator} translator into the viewer's language
 * @param {Record<N, string>} sentences English sentences by name
 * @returns {Promise<Say<N>>} the sentences, ready to say
 */
export async function loadTexts (translator, sentences) {
  const names = /** @type {N[]} */ (Object.keys(sentences))
  const translated = await Promise.all(names.map(name => translate(translator, sentences[name])))
  return sayer(new Map(names.map((name, place) => [name, translated[place] ?? sentences[name]])))
}

/**
 * @template {string} N
 * @param {Map<N, string>} texts sentences in the viewer's language by name
 * @returns {Say<N>} the sentences, ready to say
 */
export function sayer (texts) {
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
 * @param {Translator} translator into the viewer's language
 * @param {string} sentence English
 * @returns {Promise<string>} translated
 */
export async function translate (translator, sentence) {
  try {
    return await translator.translate(sentence) || sentence
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
 * @param {number} value a fraction between 0 and 1
 * @returns {string} as a percentage, with one digit after the point where it has one
 */
function share (value) {
  return new Intl.NumberFormat(language(), { style: 'percent', maximumFractionDigits: 1 }).format(value)
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
 * @returns {string} day and time
 */
export function moment (seconds) {
  return new Intl.DateTimeFormat(language(), { dateStyle: 'medium', timeStyle: 'short' }).format(new Date(seconds * 1000))
}

/**
 * What a server says in English, in the viewer's language where there is a translation of all of it or of each of its
 * sentences. In a translation numbers are gaps `{0}`, `{1}`, and what is talked about is the gap `{subject}`.
 *
 * @param {Translator} translator into the viewer's language
 * @param {string} text of the server
 * @param {string} [subject] a host or an id that it may name
 * @returns {Promise<string>} translated, or as it is
 */
export async function serverText (translator, text, subject = '') {
  const whole = await serverSentence(translator, text, subject)
  if (whole !== text) return whole
  const sentences = text.split(/(?<=[.!?]) (?=\p{Lu})/u)
  const said = await Promise.all(sentences.map(sentence => serverSentence(translator, sentence, subject)))
  // Half in one language and half in another is worse than English.
  return said.every((sentence, place) => sentence !== sentences[place]) ? said.join(' ') : text
}

/**
 * @param {Translator} translator into the viewer's language
 * @param {string} text of the server
 * @param {string} subject a host or an id that it may name
 */
async function serverSentence (translator, text, subject) {
  /** @type {string[]} */
  const numbers = []
  const named = subject ? text.replaceAll(subject, '{subject}') : text
  const pattern = named.replace(/\d+/g, digits => `{${numbers.push(digits) - 1}}`)
  const translated = await translate(translator, pattern)
  return translated.replace(/\{(\w+)\}/g, (gap, name) => name === 'subject' ? subject : numbers[Number(name)] ?? gap)
}

/**
 * Fill the gaps of a sentence, each written in the form that its gap asks for: `{host}`, `{at:day}`, `{at:moment}`,
 * `{count:number}`, `{share:percent}`, `{hosts:list}`, of which the first five are named, and `{why:sentence}`.
 *
 * @param {string} template with gaps; an unknown one stays as it is
 * @param {Record<string, any>} params what goes into them
 * @param {(sentence: any) => string} tell puts a sentence within the sentence into words
 * @returns {string} filled
 */
export function fillGaps (template, params, tell) {
  const forms = /** @type {Record<string, (value: any) => string>} */ ({
    day, moment, number, percent: share, sentence: tell, list: names => listed(shortened(names, tell))
  })
  return template.replace(/\{(\w+)(?::(\w+))?\}/g, (gap, name, form) => {
    if (!Object.hasOwn(params, name)) return gap
    return form ? forms[form]?.(params[name]) ?? gap : isolated(String(params[name]))
  })
}

/**
 * @param {string[]} names of instances
 * @param {(sentence: any) => string} tell says how many are not named
 * @returns {string[]} all of them, or the first and how many more there are
 */
function shortened (names, tell) {
  return names.length <= MOST_NAMED + 1
    ? names
    : [...names.slice(0, MOST_NAMED), tell({ code: 'moreNames', params: { count: names.length - MOST_NAMED } })]
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
