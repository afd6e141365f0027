/** @typedef {import('../client/lib/texts.js').Helpers} Helpers */

const LANGUAGES = ['fr']

/**
 * What PeerTube gives its plugins, as far as the control page uses it: sentences in the browser's language.
 *
 * @param {readonly string[]} wanted the browser's languages, best first
 * @returns {Promise<{ helpers: Helpers, language: string }>} helpers, and the language that they speak
 */
export async function openHelpers (wanted) {
  const language = wanted.map(tag => tag.split('-')[0] ?? '').find(tag => tag === 'en' || LANGUAGES.includes(tag)) ?? 'en'
  const sentences = language === 'en' ? new Map() : await translations(language)
  const helpers = {
    translate: async (/** @type {string} */ text) => sentences.get(text) ?? text,
    getAuthHeader: () => undefined
  }
  return { helpers: /** @type {any} */ (helpers), language: sentences.size ? language : 'en' }
}

/**
 * @param {string} language one of those that there are
 * @returns {Promise<Map<string, string>>} sentences by English ones; none where they cannot be loaded
 */
async function translations (language) {
  try {
    const response = await fetch(new URL(`../languages/${language}.json`, import.meta.url))
    return new Map(Object.entries(await response.json()))
  } catch {
    return new Map()
  }
}
