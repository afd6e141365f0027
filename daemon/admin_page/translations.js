/** Languages that the page speaks besides English, each with a file in `languages/`. */
const LANGUAGES = ['fr']

/**
 * @param {readonly string[]} wanted language tags, best first
 * @returns {string} the first of them that the page speaks, English if there is none
 */
export function spoken (wanted) {
  return wanted.map(tag => tag.split('-')[0] ?? '').find(tag => tag === 'en' || LANGUAGES.includes(tag)) ?? 'en'
}

/**
 * @param {string} tag of the language that is wanted
 * @returns {Promise<import('./lib/texts.js').Translator>} says what it has no translation of, or cannot load, in English
 */
export async function translator (tag) {
  const language = spoken([tag])
  const sentences = language === 'en' ? new Map() : await translations(language)
  return { translate: async text => sentences.get(text) ?? text }
}

/**
 * @param {string} language one of those that there are
 * @returns {Promise<Map<string, string>>} sentences by English ones; none where they cannot be loaded
 */
async function translations (language) {
  try {
    const response = await fetch(new URL(`./languages/${language}.json`, import.meta.url))
    return new Map(Object.entries(await response.json()))
  } catch {
    return new Map()
  }
}
