'use strict'

const POLL_MS = 2000

/**
 * Which model the daemon answers from. An administrator may take a peer's learning out at any moment; lists that a model
 * with that peer made must not outlive it. Nobody waits for the answer: while lists are in use the daemon is asked in the
 * background, and every list that it gives says which model made it.
 */
class ServedModel {
  /** @type {string | undefined} undefined: not known yet; empty: none serves */
  #model
  /** How often another one was seen to serve. */
  #changes = 0
  /** @type {any} */
  #timer
  #until = -Infinity
  #asking = false
  #closed = false
  /** Called when another model serves than before. */
  onChange = () => {}

  /** @param {{ daemon: import('./daemon.js').Daemon, clock: import('./clock.js').Clock }} parts */
  constructor ({ daemon, clock }) {
    this.daemon = daemon
    this.clock = clock
  }

  /** Keep asking for a while, every two seconds. @param {number} ms */
  watch (ms) {
    this.#until = this.clock.now() + ms
    this.#schedule()
  }

  /**
   * Begin a question to the daemon.
   *
   * @returns {(model: string | undefined) => boolean} to be called with the model that the answer is of: false when
   *   another one serves by now. An answer that names none is taken for one of the model that served before
   */
  begin () {
    const before = this.#changes
    return model => {
      if (before !== this.#changes) return model !== undefined && model === this.#model
      if (model !== undefined && model !== this.#model) {
        const isFirst = this.#model === undefined
        this.#model = model
        if (!isFirst) this.#changed()
      }
      return true
    }
  }

  /** Ask no more. */
  close () {
    this.#closed = true
    this.clock.clearTimeout(this.#timer)
  }

  #schedule () {
    if (this.#timer !== undefined || this.#asking || this.#closed || this.clock.now() >= this.#until) return
    this.#timer = this.clock.setTimeout(() => {
      this.#timer = undefined
      void this.#ask()
    }, POLL_MS)
  }

  async #ask () {
    this.#asking = true
    const answered = this.begin()
    try {
      answered(await this.daemon.model())
    } catch {
      // Whether the daemon is well is noticed where its lists are asked for.
    }
    this.#asking = false
    this.#schedule()
  }

  #changed () {
    this.#changes++
    this.onChange()
  }
}

module.exports = { ServedModel }
