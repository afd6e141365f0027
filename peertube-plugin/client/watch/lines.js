import { el } from '../lib/dom.js'
import { videoOf } from '../lib/ids.js'
import { reasonText } from '../lib/reasons.js'

/** @typedef {import('../lib/reasons.js').Reason} Reason */

export const SENTENCES = { whyLink: 'Why?' }

/**
 * A link to the page that says what reasons rest on.
 *
 * @param {import('../lib/texts.js').Say<keyof typeof SENTENCES>} say sentences
 * @returns {HTMLElement} the link
 */
export function whyLink (say) {
  return el('a', { class: 'shoal-why-link', href: '/my-account/p/shoal' }, say('whyLink'))
}

/**
 * What the lines under the suggestions need from outside.
 *
 * @typedef {object} LinesOptions
 * @property {import('../lib/reasons.js').SayReason} say sentences
 * @property {(video: string) => Promise<Record<string, Reason> | null>} reasonsOf reasons of the list last made for a
 *   video, `null` when there are none to be had on this instance
 * @property {() => Node | null} explanation link to what all reasons rest on, where this visitor can open it
 * @property {(miniature: Element, video: string) => Node | null} controlsFor what stands beside the reason, if anything
 * @property {(root: Element) => void} explained called once for a list, when reasons are shown in it
 * @property {(miniature: Element, video: string) => boolean} markHidden marks what the viewer has hidden; true if it is
 */

const ANCHOR = 'my-recommended-videos'
const MINIATURE = 'my-video-miniature'
const LINE = 'shoal-why'

// The list may be on the page before its reasons are ready, so an answer without them is asked for again.
const PAUSES_MS = [0, 800, 2500]

/** One short line under each suggestion of PeerTube's own list. Without that list on the page it does nothing. */
export class WhyLines {
  /** @type {string | null} */
  #video = null
  /** @type {Map<string, Reason>} */
  #reasons = new Map()
  /** @type {Element | null} */
  #root = null
  #visit = 0
  #asked = 0
  #asking = false
  #explained = false
  #frame = 0

  /** @param {LinesOptions} options what it needs */
  constructor (options) {
    this.options = options
    this.observer = new MutationObserver(() => this.refresh())
  }

  /**
   * Explain the list beside this video from now on.
   *
   * @param {string} video uuid of the video being watched
   */
  show (video) {
    this.stop()
    this.#visit += 1
    this.#video = video
    this.#root = document.querySelector(ANCHOR)
    if (!this.#root) return

    this.observer.observe(this.#root, {
      childList: true, subtree: true, attributes: true, attributeFilter: ['href']
    })
    this.refresh()
  }

  /** Leave the page alone and forget what was known. */
  stop () {
    this.observer.disconnect()
    cancelAnimationFrame(this.#frame)
    this.#frame = 0
    this.#asked = 0
    this.#asking = false
    this.#explained = false
    this.#video = null
    this.#root = null
    this.#reasons = new Map()
  }

  /** Bring the lines up to date with the list, once per frame however much changed. */
  refresh () {
    if (this.#frame || !this.#root) return
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0
      this.#draw()
    })
  }

  #draw () {
    if (!this.#root) return

    let unexplained = false
    for (const miniature of this.#root.querySelectorAll(MINIATURE)) {
      const link = miniature.querySelector('a[href*="/w/"], a[href*="/videos/watch/"]')
      const place = miniature.querySelector('.video-info')
      const video = link && videoOf(link.getAttribute('href') ?? '')
      if (!place || !video) continue

      const reason = this.#reasons.get(video)
      if (!reason) unexplained = true
      this.#drawLine(miniature, place, video, reason)
    }
    if (unexplained) void this.#ask()
    if (this.#explained || !this.#root.querySelector(`.${LINE}-text`)) return
    this.#explained = true
    this.options.explained(this.#root)
  }

  /**
   * @param {Element} miniature one suggestion
   * @param {Element} place where the line goes
   * @param {string} video its uuid
   * @param {Reason | undefined} reason why it is there
   */
  #drawLine (miniature, place, video, reason) {
    const hidden = this.options.markHidden(miniature, video)
    const text = reasonText(reason, this.options.say)
    const state = text || hidden ? [video, String(hidden), text].join(' ') : ''
    const old = place.querySelector(`:scope > .${LINE}`)

    // Writing only what differs keeps the observer from answering itself.
    if ((old?.getAttribute('data-shoal') ?? '') === state) return
    if (!state) return old?.remove()

    const lead = el('span', { class: 'visually-hidden' }, this.options.say('why'), ' ')
    const line = el('div', { class: LINE, 'data-shoal': state },
      hidden ? null : el('p', { class: 'shoal-why-text' }, lead, el('bdi', {}, text)),
      this.options.explanation(),
      this.options.controlsFor(miniature, video))
    if (old) old.replaceWith(line)
    else place.append(line)
  }

  async #ask () {
    const pause = PAUSES_MS[this.#asked]
    const video = this.#video
    if (this.#asking || pause === undefined || !video) return

    const visit = this.#visit
    this.#asked += 1
    this.#asking = true
    if (pause) await new Promise(resolve => setTimeout(resolve, pause))

    /** @type {Record<string, Reason> | null} */
    let reasons = {}
    if (visit === this.#visit) reasons = await this.options.reasonsOf(video).catch(() => ({}))

    // An answer for a video that is no longer on the page must not touch the next one's lines.
    if (visit !== this.#visit || this.#video !== video) return
    this.#asking = false
    if (reasons === null) {
      this.#asked = PAUSES_MS.length
      return
    }
    for (const [uuid, reason] of Object.entries(reasons)) this.#reasons.set(uuid.toLowerCase(), reason)
    this.refresh()
  }
}
