'use strict'

const FRESH_MS = 2000
const PATIENCE_MS = 25

/**
 * Which model the daemon answers from. An administrator may take a peer's learning out at any moment; lists that a model
 * with that peer made, kept here, must not outlive it.
 */
class ServedModel {
  /** @type {string | undefined} */
  #model
  #at = -Infinity
  /** @type {Promise<void> | undefined} */
  #asking
  /** Called when another model serves than before. */
  onChange = () => {}

  /** @param {{ daemon: import('./daemon.js').Daemon, clock: import('./clock.js').Clock }} parts */
  constructor ({ daemon, clock }) {
    this.daemon = daemon
    this.clock = clock
  }

  /**
   * Ask again where the last answer is older than two seconds. Never rejects, and never takes long: what a daemon that
   * does not answer made before is as good as it was.
   *
   * @returns {Promise<void>}
   */
  async confirm () {
    if (this.clock.now() - this.#at < FRESH_MS) return
    this.#asking ??= this.#ask().finally(() => { this.#asking = undefined })
    /** @type {any} */
    let timer
    const late = new Promise(resolve => { timer = this.clock.setTimeout(() => { resolve(undefined) }, PATIENCE_MS) })
    await Promise.race([this.#asking, late])
    this.clock.clearTimeout(timer)
  }

  async #ask () {
    try {
      const model = await this.daemon.model()
      if (model !== this.#model) this.onChange()
      this.#model = model
    } catch {
      // Whether the daemon is well is noticed where its lists are asked for.
    }
    this.#at = this.clock.now()
  }
}

module.exports = { ServedModel }
