import { el, uniqueId } from '../lib/dom.js'
import { reasonText } from '../lib/reasons.js'
import { videoList } from './video-list.js'

export const SENTENCES = { title: 'Related videos' }

/**
 * @typedef {object} OwnBlockOptions
 * @property {import('../lib/api.js').Api} api for the requests
 * @property {import('../lib/texts.js').Say<keyof typeof SENTENCES>} say sentences
 * @property {import('../lib/reasons.js').SayReason} sayReason sentences of reasons
 */

// By then PeerTube's list has come, and so have its reasons where it has any.
const SETTLED_MS = 4000
// What PeerTube's watch page asked for; the mark keeps it out of what is counted.
const SEARCH = 'search/videos?start=0&count=10&skipCount=true&sort=-publishedAt&searchTarget=local&shoal=own-block'
/** After the first of these that is there. */
const PLACES = ['my-recommended-videos', 'my-video-watch-playlist', 'my-video-comments']

/**
 * Related videos in a block of our own, where watch pages are seen and the server says that PeerTube asks for no list any
 * more. Where the page has a list of ours, nothing is added.
 */
export class OwnBlock {
  /** Asked once, where a page has no list of ours. @type {Promise<boolean> | undefined} */
  #silent
  /** @type {HTMLElement | null} */
  #section = null
  #visit = 0

  /** @param {OwnBlockOptions} options what it needs */
  constructor (options) {
    this.options = options
  }

  /** @param {string} video uuid of the video on the page */
  async show (video) {
    this.stop()
    const visit = this.#visit
    const { api, say, sayReason } = this.options
    await new Promise(resolve => setTimeout(resolve, SETTLED_MS))
    if (visit !== this.#visit || document.querySelector('my-recommended-videos .shoal-why-text')) return

    this.#silent ??= api.plugin('GET', 'effects/v1/silent').then(answer => answer?.silent === true, () => false)
    if (!await this.#silent || visit !== this.#visit) return

    // Reasons are those of the list that the search made.
    const found = await api.peertube('GET', SEARCH).catch(() => null)
    const answer = await api.plugin('GET', `why/v1/reasons?video=${video}`).catch(() => null)
    const videos = Array.isArray(found?.data) ? found.data : []
    const explained = videos
      .map((/** @type {any} */ entry) => ({ video: entry, why: reasonText(answer?.reasons?.[entry?.uuid], sayReason) }))
      .filter((/** @type {{ why: string }} */ { why }) => why)
    const place = PLACES.map(name => document.querySelector(name)).find(element => element !== null)
    if (visit !== this.#visit || !place || explained.length === 0) return

    const id = uniqueId('own-block')
    this.#section = el('section', { class: 'shoal-browser', 'aria-labelledby': id },
      el('h2', { id }, say('title')), videoList(explained))
    place.after(this.#section)
  }

  /** Leave the page as it would be without. */
  stop () {
    this.#visit += 1
    this.#section?.remove()
    this.#section = null
  }
}
