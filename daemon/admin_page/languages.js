import { fillGaps, isolated, sayer } from './lib/texts.js'

/**
 * What the daemon says: a code with parameters, put into words here.
 *
 * @typedef {{ code: string, params: Record<string, any> }} Sentence
 * @typedef {string | { one: string, other: string }} Template
 *
 * @typedef {typeof import('./languages/en/common.json') & typeof import('./languages/en/group.json')
 *   & typeof import('./languages/en/ledger.json') & typeof import('./languages/en/lookup.json')
 *   & typeof import('./languages/en/models.json') & typeof import('./languages/en/overview.json')
 *   & typeof import('./languages/en/peers.json') & typeof import('./languages/en/revert.json')
 *   & typeof import('./languages/en/rounds.json') & typeof import('./languages/en/settings.json')
 *   & typeof import('./languages/en/shared.json') & typeof import('./languages/en/standalone.json')} Words
 * @typedef {import('./lib/texts.js').Say<keyof Words>} Say
 */

/** Files of a language, each with the sentences of a part of the page or of the daemon. */
const PARTS = /** @type {const} */ ([
  'common', 'group', 'ledger', 'lookup', 'models', 'overview', 'peers', 'revert', 'rounds', 'settings', 'shared', 'standalone'
])
/** Languages with a folder in `languages/`; English first. */
const LANGUAGES = ['en', 'fr']
/** Further files of a language other than English, by English sentences: of the plugin's pages, and what errors say. */
const BY_ENGLISH = ['lib', 'told']

/**
 * The page's language.
 *
 * @typedef {object} Language
 * @property {Say} say the page's own sentences
 * @property {(...sentences: Sentence[]) => string} tell puts sentences of the daemon into words
 * @property {(text: string) => Promise<string>} translate an English sentence of the shared pieces
 */

/**
 * @param {readonly string[]} wanted language tags, best first
 * @returns {string} the first of them that the page speaks, English if there is none
 */
export function spoken (wanted) {
  return wanted.map(tag => tag.split('-')[0] ?? '').find(tag => LANGUAGES.includes(tag)) ?? 'en'
}

/** @type {Map<string, Promise<Language>>} */
const loaded = new Map()

/**
 * @param {string} tag of the language that is wanted
 * @returns {Promise<Language>} the language; English where a file of it cannot be loaded
 */
export function loadLanguage (tag) {
  const language = spoken([tag])
  const known = loaded.get(language) ?? load(language)
  loaded.set(language, known)
  return known
}

/**
 * @param {string} language one of those that there are
 * @returns {Promise<Language>} it
 */
async function load (language) {
  const [english, own, byEnglish] = await Promise.all([
    joined('en', PARTS),
    language === 'en' ? new Map() : joined(language, PARTS),
    language === 'en' ? new Map() : joined(language, BY_ENGLISH)
  ])
  /** @type {Map<string, Template>} */
  const templates = new Map([...english, ...own])
  /** @type {(...sentences: Sentence[]) => string} */
  const tell = (...sentences) => sentences.map(({ code, params }) => {
    const template = templates.get(code)
    // Of a later daemon, or of nobody's: shown as it is.
    if (template === undefined) return isolated(String(code))
    return fillGaps(typeof template === 'string' ? template : template[plural(params.count)], params, tell)
  }).join(' ')
  return {
    say: sayer(/** @type {Map<keyof Words, string>} */ (templates)),
    tell,
    translate: async text => byEnglish.get(text) ?? text
  }
}

/**
 * @param {unknown} count how many
 * @returns {'one' | 'other'} the form that the language uses for it
 */
function plural (count) {
  return new Intl.PluralRules(document.documentElement.lang || 'en').select(Number(count)) === 'one' ? 'one' : 'other'
}

/**
 * @param {string} language a folder in `languages/`
 * @param {readonly string[]} parts files in it
 * @returns {Promise<Map<string, any>>} all that they hold; nothing of a file that cannot be loaded
 */
async function joined (language, parts) {
  const files = await Promise.all(parts.map(async part => {
    try {
      const response = await fetch(new URL(`./languages/${language}/${part}.json`, import.meta.url))
      return Object.entries(await response.json())
    } catch {
      return []
    }
  }))
  return new Map(files.flat())
}
