import { listed } from './texts.js'

/**
 * Why a video was suggested, as the plugin's server tells it.
 *
 * @typedef {object} Reason
 * @property {string} kind what sort of reason
 * @property {string} [text] the daemon's own English sentence
 * @property {number | null} [users] how many people it rests on
 * @property {boolean} [estimated] whether that number carries noise
 * @property {string[]} [tags] tags it rests on
 */

export const SENTENCES = {
  why: 'Why this video:',
  bothCounted: '{count} viewers liked or watched both',
  bothEstimated: 'About {count} viewers liked or watched both',
  both: 'The same viewers liked or watched both',
  historyTags: 'Fits what you liked or watched: {tags}',
  history: 'Fits what you liked or watched',
  tag: 'Shares the tag {tags}',
  tags: 'Shares the tags {tags}',
  tagsUnnamed: 'Shares tags',
  channel: 'From the same channel',
  category: 'In the same category',
  language: 'In the same language',
  newTags: 'New here, and about {tags}',
  new: 'New here',
  popularCounted: '{count} viewers liked or watched it',
  popularEstimated: 'About {count} viewers liked or watched it',
  popular: 'Popular here'
}

/** @typedef {import('./texts.js').Say<keyof typeof SENTENCES>} SayReason */

const MAX_TAGS = 4
const MAX_LENGTH = 200

/**
 * One short sentence for a reason. A kind that this version does not know is said as the daemon says it, in English.
 *
 * @param {Reason | undefined} reason from the server, so of any shape
 * @param {SayReason} say sentences of this module
 * @returns {string} the sentence, empty if there is nothing to say
 */
export function reasonText (reason, say) {
  if (!reason || typeof reason.kind !== 'string') return ''

  const tags = (Array.isArray(reason.tags) ? reason.tags : [])
    .filter(tag => typeof tag === 'string' && tag !== '')
    .slice(0, MAX_TAGS)
    .map(tag => tag.slice(0, MAX_LENGTH))
  const named = { tags: tags.length ? listed(tags) : '' }
  const users = typeof reason.users === 'number' && reason.users > 1 ? reason.users : 0

  const both = reason.estimated === true ? 'bothEstimated' : 'bothCounted'
  const it = reason.estimated === true ? 'popularEstimated' : 'popularCounted'

  switch (reason.kind) {
    case 'co-engagement': return users ? say.counted(both, both, users) : say('both')
    case 'history': return tags.length ? say('historyTags', named) : say('history')
    case 'tags': return tags.length ? say(tags.length === 1 ? 'tag' : 'tags', named) : say('tagsUnnamed')
    case 'channel': return say('channel')
    case 'category': return say('category')
    case 'language': return say('language')
    case 'new': return tags.length ? say('newTags', named) : say('new')
    case 'popular': return users ? say.counted(it, it, users) : say('popular')
    default: return typeof reason.text === 'string' ? reason.text.slice(0, MAX_LENGTH) : ''
  }
}
