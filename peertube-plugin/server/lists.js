'use strict'

const { Lru } = require('./lru.js')

/**
 * @typedef {import('./daemon.js').Candidate} Candidate
 * @typedef {NonNullable<Awaited<ReturnType<import('./sql.js').Queries['publicVideo']>>>} Current
 * @typedef {{ video: string, viewer?: string, nsfw: boolean, language?: string,
 *             discovery?: import('./consent.js').Discovery }} Wanted
 * @typedef {{ current: Current, candidates: Candidate[], exact: boolean }} List
 */

const FRESH_MS = 60_000
const STALE_MS = 10 * 60_000
const LIMIT = 30
const AT_ONCE = 16
const FAILURES = 5
const PAUSE_MS = 5000

/**
 * Candidate lists: from memory where there is one not too old, else from the daemon, one question per list at a time.
 * After several failures in a row the daemon is left alone for a while, so that a dead one costs nothing.
 */
class Lists {
  /** @type {Lru<string, { at: number, list: List | null }>} */
  #kept = new Lru(2000)
  /** @type {Map<string, Promise<List | null>>} */
  #asking = new Map()
  #failures = 0
  #pausedUntil = -Infinity
  #ailing = false
  counts = { kept: 0, asked: 0, failed: 0 }

  /**
   * @param {{ daemon: import('./daemon.js').Daemon, sql: import('./sql.js').Queries,
   *           served: import('./served-model.js').ServedModel, clock: import('./clock.js').Clock,
   *           log: import('./log.js').Log }} parts
   */
  constructor ({ daemon, sql, served, clock, log }) {
    this.daemon = daemon
    this.served = served
    this.sql = sql
    this.clock = clock
    this.log = log
  }

  /**
   * The list for a video, null when there is none. It may take as long as the daemon does: callers bring a deadline.
   *
   * @param {Wanted} wanted
   * @returns {Promise<List | null>}
   */
  async get (wanted) {
    const key = keyOf(wanted)
    // What is kept may be of a model that was taken out since.
    if (this.#kept.get(key) && !this.paused) await this.served.confirm()
    const kept = this.#kept.get(key)
    const age = kept ? this.clock.now() - kept.at : Infinity
    if (kept && age < STALE_MS) {
      this.counts.kept++
      if (age >= FRESH_MS) this.#ask(key, wanted)
      return kept.list
    }
    const ailing = this.#ailing
    const answer = this.#ask(key, wanted)
    // While the daemon ails it is asked only to see whether it is well again; nobody waits for that.
    return ailing ? null : answer
  }

  /** The caller gave up waiting: to a viewer, too late is as bad as wrong. */
  late () {
    this.#failed()
  }

  /** Whether the daemon is left alone just now. */
  get paused () {
    return this.clock.now() < this.#pausedUntil
  }

  /** @param {string} viewer a pseudonym */
  forgetViewer (viewer) {
    this.#kept.deleteWhere(key => key.startsWith(`${viewer} `))
  }

  clear () {
    this.#kept.clear()
    this.#failures = 0
    this.#pausedUntil = -Infinity
    this.#ailing = false
  }

  /** Never rejects. @param {string} key @param {Wanted} wanted @returns {Promise<List | null>} */
  #ask (key, wanted) {
    const asking = this.#asking.get(key)
    if (asking) return asking
    if (this.paused || this.#asking.size >= AT_ONCE) return Promise.resolve(null)
    const answer = this.#fromDaemon(wanted).then(
      list => {
        this.#failures = 0
        this.#ailing = false
        this.#kept.set(key, { at: this.clock.now(), list })
        return list
      },
      error => {
        this.#failed(error)
        return null
      }
    ).finally(() => this.#asking.delete(key))
    this.#asking.set(key, answer)
    return answer
  }

  /** @param {Wanted} wanted @returns {Promise<List | null>} */
  async #fromDaemon (wanted) {
    // A video that is not public is not even named to the daemon.
    const current = await this.sql.publicVideo(wanted.video)
    if (!current) return null
    this.counts.asked++
    try {
      return { current, ...await this.daemon.related({ ...wanted, limit: LIMIT }) }
    } catch (error) {
      // Not known to the model yet is an answer; anything else is a failure.
      if (/** @type {any} */ (error)?.status === 404) return null
      throw error
    }
  }

  /** @param {unknown} [error] */
  #failed (error) {
    this.counts.failed++
    this.#failures++
    if (this.paused || (!this.#ailing && this.#failures < FAILURES)) return
    this.#pausedUntil = this.clock.now() + PAUSE_MS
    if (this.#ailing) return
    this.#ailing = true
    this.log.warn('the daemon fails to answer in time: PeerTube shows its own related lists for now', error)
  }
}

/** @param {Wanted} wanted */
function keyOf ({ video, viewer = '-', nsfw, language = '-', discovery }) {
  return `${viewer} ${video} ${nsfw ? 1 : 0} ${language} ${discovery ?? '-'}`
}

module.exports = { Lists }
