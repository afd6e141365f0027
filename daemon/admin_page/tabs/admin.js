import { RequestError } from '../lib/api.js'
import { el } from '../lib/dom.js'
import { Page } from '../lib/page.js'
import { serverText } from '../lib/texts.js'
import { Pictures } from '../pictures.js'
import { plain } from './pieces.js'

/** @typedef {import('../languages.js').Language} Language */
/** @typedef {Page<keyof import('../languages.js').Words, import('../lib/page.js').Helpers>} AdminPage */
/** @typedef {import('../ask.js').Ask} Ask */

/** What every part of the control page works with. */
export class Admin {
  /**
   * @param {AdminPage} page sentences and boxes
   * @param {Language['tell']} tell says sentences of the daemon
   * @param {Ask} ask the daemon
   */
  constructor (page, tell, ask) {
    this.page = page
    this.say = page.say
    this.tell = tell
    this.sayProblem = page.sayProblem
    /** @type {Ask} */
    this.ask = async (...order) => {
      try {
        return await ask(...order)
      } catch (error) {
        throw await this.#said(error)
      }
    }
    /** @type {import('./tab-list.js').Go} */
    this.go = () => {}
    this.pictures = new Pictures(null)
  }

  /**
   * @param {import('../lib/page.js').Helpers} helpers PeerTube's helpers, or what stands for them
   * @param {Language} language of the page
   * @param {Ask} ask the daemon
   */
  static async open (helpers, { say, tell }, ask) {
    return new Admin(await Page.speaking(helpers, say), tell, ask)
  }

  /**
   * What an error of the daemon says, in the administrator's language as far as there is a translation.
   *
   * @param {string} text English
   * @param {string} [subject] the host or id that it may name
   * @returns {Promise<string>} the text
   */
  translated (text, subject = '') {
    return serverText(this.page.helpers, text, subject)
  }

  /**
   * @param {string[]} texts of errors
   * @returns {Promise<(text: string) => string>} says one of them
   */
  async errors (texts) {
    const said = new Map(await Promise.all(texts.map(async text => (
      /** @type {[string, string]} */ ([text, await this.translated(text)])))))
    return text => plain(said.get(text) ?? text)
  }

  /**
   * @param {unknown} error of a question
   * @returns {Promise<unknown>} it, in the administrator's language if the daemon's words have a translation
   */
  async #said (error) {
    if (!(error instanceof RequestError) || error.problem !== 'told') return error
    // What is said about an instance, or about what was typed for one, begins with it.
    const [subject = ''] = /^(?:host|"[^"]*"|[\w-]+(?:\.[\w-]+)+(?::\d+)?)(?= )/.exec(error.reason) ?? []
    return new RequestError('told', await this.translated(error.reason, subject), error.status)
  }

  /**
   * A link to another tab.
   *
   * @param {string} tab its id
   * @param {string} text of the link
   * @param {string} [subject] what it leads to in there
   * @returns {HTMLElement} the link
   */
  link (tab, text, subject = '') {
    // The address is written out: PeerTube's pages have a base address of their own.
    return el('a', {
      class: 'pt',
      href: `${location.pathname}${location.search}#${tab}`,
      click: event => {
        event.preventDefault()
        this.go(tab, subject)
      }
    }, text)
  }

  /**
   * @param {any} problem of work that went on without anybody waiting
   * @returns {RequestError} it, to be said as that of an answer
   */
  failed (problem) {
    const said = [problem?.message, problem?.advice].map(text => plain(text)).filter(Boolean).join('. ')
    return new RequestError(said ? 'told' : 'nonsense', said)
  }
}
