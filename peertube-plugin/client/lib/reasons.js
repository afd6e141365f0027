import { listed } from './texts.js'

/**
 * Why a video was suggested, as the plugin's server tells it.
 *
 * @typedef {object} Reason
 * @property {string} kind what sort of reason
 * @property {string} [text] the daemon's own English sentence
 * @property {number | null} [users] about how many people it rests on, at least
 * @property {string[]} [tags] tags it rests on
 * @property {string[]} [words] words of the title that it rests on
 * @property {number | null} [share] of what speaks for the video, the part that it explains, between 0 and 1
 */

export const SENTENCES = {
  why: 'Why this video:',
  bothCounted: 'About {count} or more viewers liked or watched both',
  both: 'The same viewers liked or watched both',
  historyTags: 'Fits what you liked or watched: {tags}',
  history: 'Fits what you liked or watched',
  tag: 'Shares the tag {tags}',
  tags: 'Shares the tags {tags}',
  tagsUnnamed: 'Shares tags',
  word: 'Shares the word {words}',
  words: 'Shares the words {words}',
  wordsUnnamed: 'Shares words',
  channel: 'From the same channel',
  category: 'In the same category',
  language: 'In the same language',
  newAbout: 'New here, and about {names}',
  new: 'New here',
  popularCounted: 'About {count} or more viewers liked or watched it',
  popular: 'Popular here',
  partly: '{reason}, among other reasons'
}

/** @typedef {import('./texts.js').Say<keyof typeof SENTENCES>} SayReason */

const MAX_NAMES = 4
const MAX_LENGTH = 200
const HALF = 0.5

/**
 * One short sentence for a reason. A kind that this version does not know is said as the daemon says it, in English.
 *
 * @param {Reason | undefined} reason from the server, so of any shape
 * @param {SayReason} say sentences of this module
 * @returns {string} the sentence, empty if there is nothing to say
 */
export function reasonText (reason, say) {
  if (!reason || typeof reason.kind !== 'string') return ''

  const tags = namesIn(reason.tags)
  const words = namesIn(reason.words)
  const users = typeof reason.users === 'number' && reason.users > 1 ? reason.users : 0
  const inPart = (/** @type {string} */ text) => (
    typeof reason.share === 'number' && reason.share < HALF ? say('partly', { reason: text }) : text)

  switch (reason.kind) {
    case 'co-engagement': return inPart(users ? say.counted('bothCounted', 'bothCounted', users) : say('both'))
    case 'history': return inPart(tags.length ? say('historyTags', { tags: listed(tags) }) : say('history'))
    case 'tags': return inPart(tags.length ? say(tags.length === 1 ? 'tag' : 'tags', { tags: listed(tags) }) : say('tagsUnnamed'))
    case 'words': return inPart(words.length ? say(words.length === 1 ? 'word' : 'words', { words: listed(words) }) : say('wordsUnnamed'))
    case 'channel': return inPart(say('channel'))
    case 'category': return inPart(say('category'))
    case 'language': return inPart(say('language'))
    case 'new': return tags.length || words.length ? say('newAbout', { names: listed(tags.length ? tags : words) }) : say('new')
    case 'popular': return users ? say.counted('popularCounted', 'popularCounted', users) : say('popular')
    default: return typeof reason.text === 'string' ? reason.text.slice(0, MAX_LENGTH) : ''
  }
}

/**
 * @param {unknown} given tags or words
 * @returns {string[]} those that can be shown
 */
function namesIn (given) {
  return (Array.isArray(given) ? given : [])
    .filter(name => typeof name === 'string' && name !== '')
    .slice(0, MAX_NAMES)
    .map(name => name.slice(0, MAX_LENGTH))
}
