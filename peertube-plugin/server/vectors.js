'use strict'

const { createHash } = require('node:crypto')

const { RouteError } = require('./guards.js')

/** @typedef {{ content: Buffer, tag: string }} File */

const MAGIC = Buffer.from('SHLV')
const FRESH_MS = 10 * 60_000
const RETRY_MS = 30_000
const STALE_MS = 24 * 60 * 60_000
const BROWSERS_KEEP = 'public, max-age=86400'
const BROWSERS_WAIT = 'public, max-age=600'

/**
 * The file of vectors that browsers rank from, the same bytes for everybody: who asks for it says nothing but that they
 * are here. Kept in memory, so that the daemon is asked once in ten minutes at most.
 */
class Vectors {
  /** @type {File | null} null: the daemon has none to offer */
  #file = null
  /** When the daemon last said what there is. */
  #at = -Infinity
  #again = -Infinity
  /** @type {Promise<void> | undefined} */
  #asking
  #round = 0

  /**
   * @param {{ settings: import('./settings.js').Settings, daemon: import('./daemon.js').Daemon,
   *           clock: import('./clock.js').Clock, log: import('./log.js').Log }} parts
   */
  constructor ({ settings, daemon, clock, log }) {
    this.settings = settings
    this.daemon = daemon
    this.clock = clock
    this.log = log
  }

  /** @param {import('express').Router} router @param {import('./guards.js').Guards} guards */
  mount (router, guards) {
    router.get('/browser/v1/vectors', guards.everybody(async (req, res) => {
      if (!this.settings.values.browserSuggestions) {
        throw new RouteError(404, 'Suggestions in the browser are not available on this instance.')
      }
      const file = await this.current()
      if (!file) {
        // No failure, so that nobody's console shows one on every page.
        res.set('Cache-Control', BROWSERS_WAIT).status(204).end()
        return
      }
      res.set({ 'Cache-Control': BROWSERS_KEEP, ETag: file.tag, 'X-Content-Type-Options': 'nosniff' })
      if (req.headers['if-none-match']?.includes(file.tag)) {
        res.status(304).end()
        return
      }
      res.type('application/octet-stream').end(file.content)
    }))
  }

  /** What is offered now; null while it is switched off or there is nothing to offer. @returns {Promise<File | null>} */
  async current () {
    const { browserSuggestions, membersOnly } = this.settings.values
    // They are for people who are not logged in.
    if (!browserSuggestions || membersOnly) return null
    const now = this.clock.now()
    if (now - this.#at >= FRESH_MS && now >= this.#again) {
      this.#asking ??= this.#ask(this.#round).finally(() => { this.#asking = undefined })
      await this.#asking
    }
    // A daemon that is down for a while takes nothing away; one that says there are none does, at once.
    return this.clock.now() - this.#at < STALE_MS ? this.#file : null
  }

  clear () {
    this.#round++
    this.#file = null
    this.#at = this.#again = -Infinity
  }

  /** @param {number} round */
  async #ask (round) {
    /** @type {File | null} */
    let file = null
    try {
      const content = await this.daemon.vectors()
      if (content.subarray(0, 4).equals(MAGIC)) file = { content, tag: tagOf(content) }
    } catch (error) {
      if (/** @type {any} */ (error)?.status !== 404) {
        this.#again = this.clock.now() + RETRY_MS
        this.log.warn('the daemon did not hand out the vectors for browsers', error)
        return
      }
    }
    // Settings changed meanwhile: this may be another daemon's answer.
    if (round !== this.#round) return
    this.#file = file
    this.#at = this.clock.now()
  }
}

/** @param {Buffer} content */
function tagOf (content) {
  return `"${createHash('sha256').update(content).digest('base64url')}"`
}

module.exports = { Vectors }
