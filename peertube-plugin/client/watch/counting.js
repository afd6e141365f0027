import { videoOf } from '../lib/ids.js'

/** @typedef {'page' | 'explained-page' | 'click' | 'stock-click' | 'hide'} Event as server/effects.js counts them */

// By then the list has come, and so have its reasons where it has any.
const SETTLED_MS = 4000
const SUGGESTION = 'my-recommended-videos my-video-miniature'

/**
 * Counts what suggestions achieve: each request holds one word, and says neither who nor which video. Nothing is stored in
 * the browser, and a browser that asks not to be tracked sends nothing.
 */
export class Counting {
  /** @type {string | null} */
  #video = null
  #timer = 0
  /** How the page was counted; from then on it stays so. @type {'page' | 'explained-page' | null} */
  #counted = null
  #clicked = false

  /** @param {string} address of the route that counts */
  constructor (address) {
    this.address = address
    const onClick = (/** @type {MouseEvent} */ event) => this.#onClick(event)
    document.addEventListener('click', onClick, true)
    // The middle button opens a tab.
    document.addEventListener('auxclick', event => { if (event.button === 1) onClick(event) }, true)
    document.addEventListener('visibilitychange', () => this.#wait())
  }

  /**
   * Count this visit of a watch page, once, however often PeerTube loads its video.
   *
   * @param {string} video uuid of the video being watched
   */
  show (video) {
    if (video === this.#video) return
    this.stop()
    this.#video = video
    this.#wait()
  }

  /** A suggestion was hidden. */
  hid () {
    this.#send('hide')
  }

  /** The page is left. */
  stop () {
    clearTimeout(this.#timer)
    this.#video = null
    this.#counted = null
    this.#clicked = false
  }

  /** Count the page when it was in sight for some seconds. */
  #wait () {
    clearTimeout(this.#timer)
    if (this.#video === null || this.#counted || document.visibilityState !== 'visible') return
    this.#timer = window.setTimeout(() => this.#count(), SETTLED_MS)
  }

  #count () {
    clearTimeout(this.#timer)
    this.#counted ??= this.#send(isExplained() ? 'explained-page' : 'page')
    return this.#counted
  }

  /** @param {MouseEvent} event anywhere on the page */
  #onClick ({ target }) {
    if (this.#video === null || this.#clicked || !(target instanceof Element)) return
    const link = target.closest(`${SUGGESTION} a[href]`)
    if (!link || !videoOf(link.getAttribute('href') ?? '')) return
    this.#clicked = true
    this.#send(this.#count() === 'explained-page' ? 'click' : 'stock-click')
  }

  /**
   * @template {Event} T
   * @param {T} event
   */
  #send (event) {
    if (isRefused()) return event
    fetch(this.address, {
      method: 'POST',
      body: JSON.stringify({ event }),
      headers: { 'Content-Type': 'application/json' },
      // The same request for everybody: no session, and no page it came from, which names the video.
      credentials: 'omit',
      referrerPolicy: 'no-referrer',
      keepalive: true
    }).catch(() => {})
    return event
  }
}

/** Whether the list is ours: half of it has reasons at least. A list in PeerTube's own order may share some videos with it. */
function isExplained () {
  const suggestions = [...document.querySelectorAll(SUGGESTION)]
  const explained = suggestions.filter(suggestion => suggestion.querySelector('.shoal-why-text'))
  return explained.length > 0 && 2 * explained.length >= suggestions.length
}

/** Whether the browser asks not to be tracked (Global Privacy Control, Do Not Track). */
function isRefused () {
  const { globalPrivacyControl, doNotTrack } = /** @type {Navigator & { globalPrivacyControl?: boolean }} */ (navigator)
  return globalPrivacyControl === true || doNotTrack === '1'
}
