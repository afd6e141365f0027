import { savingSwitch } from '../lib/controls.js'
import { el, uniqueId } from '../lib/dom.js'
import { videoOf } from '../lib/ids.js'
import { isolated } from '../lib/texts.js'
import { parseVectors, rank, rowOf, uuidAt } from './vectors.js'
import { isOn, note, switchTo, watchHistory } from './browser-history.js'
import { videoList } from './video-list.js'

export const SENTENCES = {
  title: 'Suggested from what you watched here',
  because: 'Because you watched “{title}”',
  fits: 'Fits what you watched in this browser',
  nothing: 'Nothing to suggest yet.',
  on: 'Suggest from what I watched in this browser',
  onText: 'This is worked out in your browser, from the watch history that PeerTube keeps in it for 30 days. The history is sent nowhere: the server only sees which videos your browser then asks for.'
}

/**
 * @typedef {{ uuid: string, name?: unknown, duration?: unknown }} Watched the video on the page
 * @typedef {{ uuid: string, because: string }} Found `because`: title of the video it rests on, empty if not known
 * @typedef {{ video: any, because: string }} Shown with what PeerTube says of it
 *
 * @typedef {object} BrowserOptions
 * @property {import('../lib/api.js').Api} api for the requests
 * @property {import('../lib/texts.js').Say<keyof typeof SENTENCES>} say sentences
 * @property {import('../lib/controls.js').SayProblem} sayProblem sentences for failures
 */

const SHOWN = 5
// Some of those asked for may not be visible here.
const ASKED = 12
const FEWEST_WATCHED = 2
const MOST_TITLE = 50
const MOST_BYTES = 500_000
const DEADLINE_MS = 20_000
const KEEP_MS = 24 * 3600 * 1000
const RETRY_MS = 10 * 60 * 1000

/**
 * For people who are not logged in: suggestions that their own browser works out. It fetches the vectors, the same file
 * for everybody, ranks them by its own history, and asks PeerTube for the few videos to show.
 */
export class BrowserSuggestions {
  /** @type {{ until: number, vectors: Promise<import('./vectors.js').Vectors | null> } | null} */
  #kept = null
  /** @type {HTMLElement | null} */
  #section = null
  #visit = 0

  /** @param {BrowserOptions} options what it needs */
  constructor (options) {
    this.options = options
  }

  /**
   * Show suggestions below PeerTube's own, when the page has nothing better to do.
   *
   * @param {Watched} video the video on the page
   * @param {Element} root where they go
   */
  async show (video, root) {
    this.stop()
    const visit = this.#visit
    if (isOn()) note(video.uuid, video)
    await idle()
    if (visit !== this.#visit) return

    // Whoever switched them off finds the switch again, however little is known without notes.
    const found = isOn() ? await this.#suggestions(video, root) : []
    if (visit !== this.#visit || (isOn() && found.length === 0)) return
    this.#section = this.#draw(video, found, root)
    root.append(this.#section)
  }

  /** Leave the page as it would be without. */
  stop () {
    this.#visit += 1
    this.#section?.remove()
    this.#section = null
  }

  /**
   * @param {Watched} video on the page
   * @param {Element} root holds PeerTube's own list
   * @returns {Promise<Shown[]>} empty when there is nothing, or on any failure
   */
  async #suggestions (video, root) {
    if (watchHistory().watched.length < FEWEST_WATCHED) return []
    const found = await this.#rank(video)
    if (found.length === 0) return []
    // In the order of their names: which of them the browser likes best is its own business.
    const names = found.map(({ uuid }) => uuid).sort()
    const query = new URLSearchParams({
      count: String(names.length), skipCount: 'true', nsfw: 'false', searchTarget: 'local', shoal: 'browser'
    })
    for (const name of names) query.append('uuids', name)
    const answer = await this.options.api.peertube('GET', `search/videos?${query}`).catch(() => null)

    const videos = new Map((Array.isArray(answer?.data) ? answer.data : [])
      .filter((/** @type {any} */ entry) => typeof entry?.uuid === 'string' && typeof entry.name === 'string')
      .map((/** @type {any} */ entry) => [entry.uuid, entry]))
    const above = listedIn(root)
    return found
      .filter(({ uuid }) => videos.has(uuid) && !above.has(uuid))
      .slice(0, SHOWN)
      .map(({ uuid, because }) => ({ video: videos.get(uuid), because }))
  }

  /**
   * @param {Watched} video on the page
   * @returns {Promise<Found[]>} best first
   */
  async #rank (video) {
    const { watched, opened, titles } = watchHistory()
    const vectors = await this.#vectors()
    if (!vectors) return []
    const rows = watched.map(uuid => rowOf(vectors, uuid)).filter(row => row >= 0)
    if (rows.length < FEWEST_WATCHED) return []

    return rank(vectors, rows, ASKED + opened.size + 1)
      .map(({ row, via }) => ({ uuid: uuidAt(vectors, row), because: titles.get(uuidAt(vectors, via)) ?? '' }))
      .filter(({ uuid }) => uuid !== video.uuid && !opened.has(uuid))
      .slice(0, ASKED)
  }

  #vectors () {
    if (!this.#kept || Date.now() >= this.#kept.until) {
      const address = `${this.options.api.helpers.getBaseRouterRoute()}/browser/v1/vectors`
      const kept = { until: Date.now() + KEEP_MS, vectors: fetchVectors(address) }
      void kept.vectors.then(vectors => { if (!vectors) kept.until = Date.now() + RETRY_MS })
      this.#kept = kept
    }
    return this.#kept.vectors
  }

  /**
   * @param {Watched} video on the page
   * @param {Shown[]} found to show
   * @param {Element} root holds PeerTube's own list
   */
  #draw (video, found, root) {
    const { say, sayProblem } = this.options
    const id = uniqueId('browser')
    const content = el('div', {}, this.#list(found))
    return el('section', { class: 'shoal-browser', 'aria-labelledby': id },
      el('h2', { id }, say('title')),
      content,
      savingSwitch({
        label: say('on'),
        description: say('onText'),
        checked: isOn(),
        sayProblem,
        save: async wanted => {
          switchTo(wanted)
          if (wanted) note(video.uuid, video)
          const shown = wanted ? await this.#suggestions(video, root) : []
          content.replaceChildren(wanted && shown.length === 0 ? el('p', {}, say('nothing')) : this.#list(shown))
        }
      }))
  }

  /** @param {Shown[]} found to show */
  #list (found) {
    const { say } = this.options
    return videoList(found.map(({ video, because }) => ({
      video, why: because ? say('because', { title: isolated(shortened(because)) }) : say('fits')
    })))
  }
}

/**
 * The same request for everybody: no session, no page it came from, nothing of the history.
 *
 * @param {string} address of the file
 * @returns {Promise<import('./vectors.js').Vectors | null>} `null` when there are none, or broken ones
 */
async function fetchVectors (address) {
  try {
    const response = await fetch(address, {
      credentials: 'omit', referrerPolicy: 'no-referrer', signal: AbortSignal.timeout(DEADLINE_MS)
    })
    if (!response.ok || Number(response.headers.get('content-length')) > MOST_BYTES) return null
    return parseVectors(await response.arrayBuffer())
  } catch {
    return null
  }
}

/**
 * @param {Element} root holds PeerTube's own list
 * @returns {Set<string>} uuids of the videos in it
 */
function listedIn (root) {
  const links = root.querySelectorAll('my-video-miniature a[href]')
  return new Set([...links].map(link => videoOf(link.getAttribute('href') ?? '')).filter(uuid => uuid !== null))
}

/**
 * @param {string} title of a video
 * @returns {string} its beginning, cut between words where there are any
 */
function shortened (title) {
  if (title.length <= MOST_TITLE) return title
  const start = title.slice(0, MOST_TITLE)
  return `${start.slice(0, Math.max(start.lastIndexOf(' '), MOST_TITLE / 2)).replace(/[\s\p{P}]+$/u, '')}…`
}

/** @returns {Promise<void>} when the browser has time */
function idle () {
  return new Promise(resolve => {
    if ('requestIdleCallback' in window) requestIdleCallback(() => resolve(), { timeout: 5000 })
    else setTimeout(resolve, 500)
  })
}
