import { actionButton, problemLine } from '../lib/controls.js'
import { el, uniqueId } from '../lib/dom.js'

export const SENTENCES = {
  ask: 'These suggestions learn from viewers who agree. Take part?',
  yes: 'Take part',
  notNow: 'Not now',
  meaning: 'What this means',
  takesPart: 'You take part. You can change this in your account at any time.',
  forYou: 'For you',
  dismissed: 'You will not be asked again for a year.'
}

/**
 * @typedef {object} InvitationOptions
 * @property {import('../lib/api.js').Api} api for the requests
 * @property {import('../lib/texts.js').Say<keyof typeof SENTENCES>} say sentences
 * @property {import('../lib/controls.js').SayProblem} sayProblem sentences for failures
 * @property {() => number | undefined} user id of who is logged in, if anybody is
 */

/** Below explained suggestions: asks viewers who have not chosen whether they take part. */
export class Invitation {
  /** Who need not be asked: they chose, dismissed it, or the admin does not want it. @type {number | undefined} */
  #settled
  /** @type {HTMLElement | null} */
  #section = null
  #visit = 0

  /** @param {InvitationOptions} options what it needs */
  constructor (options) {
    this.options = options
  }

  /**
   * Ask, if the server says that this viewer is to be asked.
   *
   * @param {Element} root below whose content it goes
   */
  async show (root) {
    this.stop()
    const visit = this.#visit
    const user = this.options.user()
    if (user === undefined || user === this.#settled) return

    // Nobody misses an invitation that could not be asked for.
    const answer = await this.options.api.plugin('GET', 'viewer/v1/invitation').catch(() => null)
    if (answer?.asks === false) this.#settled = user
    if (answer?.asks === true && visit === this.#visit && user === this.options.user()) this.#draw(root, user)
  }

  /** Leave the page as it would be without. */
  stop () {
    this.#visit += 1
    this.#section?.remove()
    this.#section = null
  }

  /**
   * @param {Element} root below whose content it goes
   * @param {number} user who is asked
   */
  #draw (root, user) {
    const { api, say, sayProblem } = this.options
    const id = uniqueId('invitation')
    const problem = problemLine()
    const text = el('p', { id, role: 'status' })
    const meaning = el('a', { class: 'pt', href: '/my-account/p/shoal' }, say('meaning'))
    const forYou = el('a', { class: 'pt', href: '/p/shoal/for-you' }, say('forYou'))

    /** @type {(text: string, look: 'primary' | 'secondary', news: string, next: HTMLElement, save: () => Promise<unknown>) => HTMLElement} */
    const button = (label, look, news, next, save) => actionButton({
      text: label,
      look,
      small: true,
      problem,
      sayProblem,
      run: async () => {
        await save()
        this.#settled = user
        text.textContent = news
        // The button that was pressed goes; whoever uses the keyboard stays at the same place.
        meaning.before(next)
        next.focus()
        for (const pressed of buttons) pressed.remove()
      }
    })
    const buttons = [
      button(say('yes'), 'primary', say('takesPart'), forYou, () => api.plugin('PUT', 'viewer/v1/choice', { training: true })),
      button(say('notNow'), 'secondary', say('dismissed'), meaning, () => api.plugin('DELETE', 'viewer/v1/invitation'))
    ]
    this.#section = el('section', { class: 'shoal-invitation', 'aria-labelledby': id },
      text, el('div', { class: 'shoal-buttons' }, ...buttons, meaning), problem)
    root.append(this.#section)
    // Whoever saw it and goes on was asked: that is enough for a year.
    const seen = new IntersectionObserver(([{ isIntersecting }]) => {
      if (!isIntersecting) return
      seen.disconnect()
      void api.plugin('DELETE', 'viewer/v1/invitation').catch(() => {})
    }, { threshold: 1 })
    seen.observe(this.#section)
    // Screen readers announce what comes into a region that was there before.
    requestAnimationFrame(() => { if (!text.textContent) text.textContent = say('ask') })
  }
}
