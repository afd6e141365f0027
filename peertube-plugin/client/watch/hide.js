import { actionButton, problemLine } from '../lib/controls.js'
import { el, uniqueId } from '../lib/dom.js'
import { isolated } from '../lib/texts.js'

export const SENTENCES = {
  hide: 'Hide',
  hideNamed: 'Hide {title} or its channel from my suggestions',
  choices: 'Hide from my suggestions',
  hideVideo: 'Hide this video',
  hideChannel: 'Hide this channel',
  videoHidden: 'This video is hidden from your suggestions.',
  channelHidden: 'This channel is hidden from your suggestions.',
  undo: 'Undo',
  undone: 'Back in your suggestions.'
}

/**
 * @typedef {{ kind: 'video' | 'channel', id: string }} Hidden what the viewer does not want to be suggested
 *
 * @typedef {object} HidingOptions
 * @property {import('../lib/api.js').Api} api for the requests
 * @property {import('../lib/texts.js').Say<keyof typeof SENTENCES>} say sentences
 * @property {import('../lib/texts.js').Say<import('../lib/api.js').Problem>} sayProblem sentences for failures
 * @property {() => void} changed called when something was hidden or brought back
 * @property {() => void} [hid] called when something was hidden
 */

/** "Hide" under each suggestion: the video or its whole channel, with undo in the same place. */
export class Hiding {
  /** @type {Map<string, Hidden>} hidden videos by uuid */
  #videos = new Map()
  /** @type {Map<string, Hidden>} hidden channels by the address of their page here, as suggestions link to it */
  #channels = new Map()

  /** @param {HidingOptions} options what it needs */
  constructor (options) {
    this.options = options
    this.live = el('div', { class: 'visually-hidden', role: 'status' })
  }

  /**
   * Give a suggestion the looks of what the viewer hid.
   *
   * @param {Element} miniature the suggestion
   * @param {string} video its uuid
   * @returns {boolean} whether the viewer hid it
   */
  mark (miniature, video) {
    const hidden = this.#of(miniature, video) !== undefined
    if (miniature.classList.contains('shoal-hidden') !== hidden) miniature.classList.toggle('shoal-hidden', hidden)
    return hidden
  }

  /**
   * Buttons of one suggestion.
   *
   * @param {Element} miniature the suggestion
   * @param {string} video its uuid
   * @returns {HTMLElement} the buttons
   */
  controls (miniature, video) {
    const hidden = this.#of(miniature, video)
    return hidden ? this.#undoBox(video, hidden) : this.#hideBox(miniature, video)
  }

  /**
   * @param {Element} miniature the suggestion
   * @param {string} video its uuid
   */
  #of (miniature, video) {
    return this.#videos.get(video) ?? this.#channels.get(channelPage(miniature) || video)
  }

  /**
   * @param {Element} miniature the suggestion
   * @param {string} video its uuid
   */
  #hideBox (miniature, video) {
    const { say } = this.options
    const title = miniature.querySelector('.video-name')?.textContent?.trim() ?? ''
    const id = uniqueId('hide')
    const problem = problemLine()
    const group = { id, class: 'shoal-hide-choices', role: 'group', 'aria-label': say('choices'), hidden: true }
    const choices = el('div', group,
      this.#button(say('hideVideo'), problem, () => this.#hideVideo(video)),
      this.#button(say('hideChannel'), problem, () => this.#hideChannel(miniature, video)))

    const toggle = el('button', {
      type: 'button',
      class: 'shoal-hide-toggle',
      'aria-expanded': 'false',
      'aria-controls': id,
      'aria-label': say('hideNamed', { title: isolated(title) }),
      click: () => open(choices.hidden)
    }, say('hide'))

    /** @param {boolean} opened whether the choices are shown */
    const open = opened => {
      choices.hidden = !opened
      toggle.setAttribute('aria-expanded', String(opened))
    }

    const box = el('div', { class: 'shoal-hide', 'data-video': video }, toggle, choices, problem)
    box.addEventListener('keydown', event => {
      if (event.key !== 'Escape' || choices.hidden) return
      event.stopPropagation()
      open(false)
      toggle.focus()
    })
    return box
  }

  /**
   * @param {string} video uuid of the suggestion
   * @param {Hidden} hidden what was hidden there
   */
  #undoBox (video, hidden) {
    const { say } = this.options
    const problem = problemLine()
    return el('div', { class: 'shoal-hide', 'data-video': video },
      el('p', { class: 'shoal-why-text' }, say(hidden.kind === 'video' ? 'videoHidden' : 'channelHidden')),
      this.#button(say('undo'), problem, () => this.#undo(video, hidden)),
      problem)
  }

  /** @param {string} video uuid of the suggestion */
  async #hideVideo (video) {
    /** @type {Hidden} */
    const hidden = { kind: 'video', id: video }
    await this.options.api.plugin('POST', 'viewer/v1/hidden', hidden)
    this.#videos.set(video, hidden)
    this.options.hid?.()
    this.#changed(video, this.options.say('videoHidden'))
  }

  /**
   * @param {Element} miniature the suggestion
   * @param {string} video its uuid
   */
  async #hideChannel (miniature, video) {
    const { api, say } = this.options
    // Its address is the same on every instance; the suggestion shows only that of its page here.
    const { channel } = await api.peertube('GET', `videos/${video}`)
    /** @type {Hidden} */
    const hidden = { kind: 'channel', id: channel.url }
    await api.plugin('POST', 'viewer/v1/hidden', hidden)
    this.#channels.set(channelPage(miniature) || video, hidden)
    this.options.hid?.()
    this.#changed(video, say('channelHidden'))
  }

  /**
   * @param {string} video uuid of the suggestion
   * @param {Hidden} hidden what to bring back
   */
  async #undo (video, hidden) {
    await this.options.api.plugin('DELETE', 'viewer/v1/hidden', hidden)
    for (const kept of [this.#videos, this.#channels]) {
      for (const [key, { id }] of kept) if (id === hidden.id) kept.delete(key)
    }
    this.#changed(video, this.options.say('undone'))
  }

  /**
   * @param {string} video uuid of the suggestion that changed
   * @param {string} news said to screen readers
   */
  #changed (video, news) {
    this.live.textContent = news
    this.options.changed()
    // The button that was pressed is replaced in the next frame; whoever uses the keyboard stays at the same place.
    requestAnimationFrame(() => requestAnimationFrame(() => {
      const box = document.querySelector(`.shoal-hide[data-video="${video}"]`)
      box?.querySelector('button')?.focus()
    }))
  }

  /**
   * @param {string} text on the button
   * @param {HTMLElement} problem where a failure is said
   * @param {() => Promise<void>} run what the button does
   */
  #button (text, problem, run) {
    return actionButton({ text, small: true, problem, sayProblem: this.options.sayProblem, run })
  }
}

/**
 * @param {Element} miniature a suggestion
 * @returns {string} where it links to for its channel, empty if it does not
 */
function channelPage (miniature) {
  return miniature.querySelector('.owner a[href*="/c/"]')?.getAttribute('href') ?? ''
}
