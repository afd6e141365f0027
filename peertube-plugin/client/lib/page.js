import { Api, problemText, SENTENCES as PROBLEMS } from './api.js'
import { problemLine } from './controls.js'
import { el, uniqueId } from './dom.js'
import { loadTexts } from './texts.js'

export const SENTENCES = {
  loading: 'Loading…',
  retry: 'Try again'
}

/** @typedef {import('./texts.js').Translator & import('./api.js').Helpers} Helpers */

/**
 * What every part of a page works with.
 *
 * @template {string} N
 * @template {Helpers} [H=import('@peertube/peertube-types/client').RegisterClientHelpers]
 */
export class Page {
  /**
   * @param {H} helpers PeerTube's, or what stands for them
   * @param {import('./texts.js').Say<N>} say the page's own sentences
   * @param {import('./controls.js').SayProblem} sayProblem sentences for failures
   * @param {import('./texts.js').Say<keyof typeof SENTENCES>} sayLoading sentences of this module
   */
  constructor (helpers, say, sayProblem, sayLoading) {
    this.helpers = helpers
    this.api = new Api(helpers)
    this.say = say
    this.sayProblem = sayProblem
    this.sayLoading = sayLoading
    this.live = el('div', { class: 'visually-hidden', role: 'status' })
  }

  /**
   * Load the viewer's language and make a page.
   *
   * @template {string} N
   * @template {Helpers} H
   * @param {H} helpers PeerTube's, or what stands for them
   * @param {Record<N, string>} sentences the page's English sentences
   * @returns {Promise<Page<N, H>>} the page
   */
  static async open (helpers, sentences) {
    return Page.speaking(helpers, await loadTexts(helpers, sentences))
  }

  /**
   * Make a page whose own sentences are there.
   *
   * @template {string} N
   * @template {Helpers} H
   * @param {H} helpers PeerTube's, or what stands for them
   * @param {import('./texts.js').Say<N>} say the page's own sentences
   * @returns {Promise<Page<N, H>>} the page
   */
  static async speaking (helpers, say) {
    const [sayProblem, sayLoading] = await Promise.all([loadTexts(helpers, PROBLEMS), loadTexts(helpers, SENTENCES)])
    return new Page(helpers, say, sayProblem, sayLoading)
  }

  /**
   * Tell screen readers what just happened; the page itself shows it another way.
   *
   * @param {string} text one sentence
   */
  announce (text) {
    // The same sentence twice in a row is news only if the region was empty in between.
    this.live.textContent = ''
    requestAnimationFrame(() => { this.live.textContent = text })
  }

  /**
   * A titled part of the page.
   *
   * @param {string} title its heading
   * @param {...(Node | string | null)} content below or beside the heading
   * @returns {HTMLElement} the part
   */
  section (title, ...content) {
    const id = uniqueId('title')
    return el('section', { class: 'pt-two-cols shoal-section', 'aria-labelledby': id },
      el('div', { class: 'title-col' }, el('h2', { id, tabindex: '-1' }, title)),
      el('div', { class: 'content-col' }, ...content))
  }

  /**
   * A box filled from the server. Says that it loads; if that fails, says what to do and offers to try again.
   *
   * @template T
   * @param {() => Promise<T>} ask gets the data
   * @param {(data: T) => (Node | string | null)[]} draw makes what is shown from it
   * @returns {{ box: HTMLElement, reload: () => Promise<void> }} the box, and a function that fills it anew
   */
  loaded (ask, draw) {
    const { sayLoading } = this
    const box = el('div', {})
    let latest = 0

    const reload = async () => {
      const round = ++latest
      box.setAttribute('aria-busy', 'true')
      if (!box.hasChildNodes()) box.append(skeleton(sayLoading('loading')))
      try {
        const data = await ask()
        // A later question has been asked: its answer is what counts.
        if (round !== latest) return
        const parts = draw(data)
        box.replaceChildren(...parts.filter(part => part !== null))
      } catch (error) {
        if (round !== latest) return
        const problem = problemLine()
        const again = el('button', {
          type: 'button',
          class: 'peertube-button peertube-button-small secondary-button',
          click: async () => {
            await reload()
            // What was pressed is gone; the keyboard goes on from the heading of the same part.
            const next = box.querySelector('button') ?? box.closest('section')?.querySelector('h2')
            if (!box.contains(document.activeElement)) next?.focus()
          }
        }, sayLoading('retry'))
        box.replaceChildren(problem, again)
        problem.textContent = problemText(error, this.sayProblem)
      } finally {
        if (round === latest) box.removeAttribute('aria-busy')
      }
    }

    void reload()
    return { box, reload }
  }
}

/**
 * The shape of what is loading, so that little moves when it is there.
 *
 * @param {string} text what screen readers say
 */
function skeleton (text) {
  return el('div', { class: 'shoal-skeleton' }, el('span', { class: 'visually-hidden' }, text),
    ...Array.from({ length: 3 }, () => el('span', { class: 'shoal-bone' })))
}
