'use strict'

const { Lru } = require('./lru.js')

/**
 * @typedef {import('./daemon.js').Candidate} Candidate
 * @typedef {NonNullable<Awaited<ReturnType<import('./sql.js').Queries['publicVideo']>>>} Current
 * @typedef {object} Wanted
 * @property {string} video
 * @property {string} [viewer] pseudonym, when the list is for one viewer
 * @property {number} [since] when that viewer chose last: what was made before is not for them any more
 * @property {boolean} nsfw
 * @property {string} [language]
 * @property {import('./consent.js').Discovery} [discovery]
 * @typedef {{ current: Current, candidates: Candidate[], exact: boolean }} List
 * @typedef {'away' | 'slow' | 'failing'} Ailment of the daemon: it cannot be reached, takes too long, or answers with errors
 */

const FRESH_MS = 60_000
const STALE_MS = 10 * 60_000
const LIMIT = 30
const AT_ONCE = 16
const FAILURES = 5
const PAUSE_MS = 5000
/** @type {Record<Ailment, string>} */
const AILMENTS = {
  away: 'the daemon cannot be reached: PeerTube shows its own related lists until it answers',
  slow: 'the daemon takes too long to answer: PeerTube shows its own related lists until it is faster',
  failing: 'the daemon gives no lists: PeerTube shows its own related lists until it does'
}

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
  /** @type {Ailment | null} */
  #ailment = null
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
   * The list for a video, null when there is none. One that is in memory is given at once; for another it may take as
   * long as the daemon does, so callers bring a deadline. What comes after it is kept for who asks next.
   *
   * @param {Wanted} wanted
   * @returns {Promise<List | null>}
   */
  async get (wanted) {
    const key = keyOf(wanted)
    this.served.watch(STALE_MS)
    const kept = this.#young(key)
    if (kept) {
      this.counts.kept++
      if (this.clock.now() - kept.at >= FRESH_MS) void this.#ask(key, wanted)
      return kept.list
    }
    const isAiling = this.#ailment !== null
    const answer = this.#ask(key, wanted)
    // While the daemon ails it is asked only to see whether it is well again; nobody waits for that.
    return isAiling ? null : answer
  }

  /** Whether there is an answer in memory. @param {Wanted} wanted */
  has (wanted) {
    return this.#young(keyOf(wanted)) !== undefined
  }

  /** The caller gave up waiting: to a viewer, too late is as bad as wrong. */
  late () {
    this.#failed('slow')
  }

  /** Whether the daemon is left alone just now. */
  get paused () {
    return this.clock.now() < this.#pausedUntil
  }

  /** What keeps the daemon from giving lists, null while it gives them. */
  get ailment () {
    return this.#ailment
  }

  /** @param {string} viewer a pseudonym */
  forgetViewer (viewer) {
    this.#kept.deleteWhere(key => key.startsWith(viewer))
  }

  /** Another model serves: nothing that is kept holds any more. */
  drop () {
    this.#kept.clear()
  }

  /** Other settings hold, maybe of another daemon: begin anew. */
  clear () {
    this.drop()
    this.#failures = 0
    this.#pausedUntil = -Infinity
    this.#ailment = null
  }

  /** @param {string} key */
  #young (key) {
    const kept = this.#kept.get(key)
    return kept && this.clock.now() - kept.at < STALE_MS ? kept : undefined
  }

  /** Never rejects. @param {string} key @param {Wanted} wanted @returns {Promise<List | null>} */
  #ask (key, wanted) {
    const asking = this.#asking.get(key)
    if (asking) return asking
    if (this.paused || this.#asking.size >= AT_ONCE) return Promise.resolve(null)
    const answer = this.#fromDaemon(wanted).then(
      list => {
        this.#answered()
        if (list !== undefined) this.#kept.set(key, { at: this.clock.now(), list })
        return list ?? null
      },
      error => {
        this.#failed(ailmentOf(error), error)
        return null
      }
    ).finally(() => this.#asking.delete(key))
    this.#asking.set(key, answer)
    return answer
  }

  /**
   * @param {Wanted} wanted
   * @returns {Promise<List | null | undefined>} null: there is none; undefined: what came is of models that serve no more
   */
  async #fromDaemon (wanted) {
    // A video that is not public is not even named to the daemon.
    const current = await this.sql.publicVideo(wanted.video)
    if (!current) return null
    for (let tries = 0; tries < 2; tries++) {
      this.counts.asked++
      const isServed = this.served.begin()
      const answer = await this.daemon.related({ ...wanted, limit: LIMIT })
      if (isServed(answer?.model)) return answer && { current, candidates: answer.candidates, exact: answer.exact }
    }
    return undefined
  }

  #answered () {
    this.#failures = 0
    if (this.#ailment === null) return
    this.#ailment = null
    this.#pausedUntil = -Infinity
    this.log.info('the daemon answers again: it fills the related lists')
  }

  /** @param {Ailment} ailment @param {unknown} [error] */
  #failed (ailment, error) {
    this.counts.failed++
    this.#failures++
    if (this.paused || (this.#ailment === null && this.#failures < FAILURES)) return
    this.#pausedUntil = this.clock.now() + PAUSE_MS
    const isNew = this.#ailment === null
    this.#ailment = ailment
    if (isNew) this.log.warn(AILMENTS[ailment], ailment === 'failing' ? error : undefined)
  }
}

/** @param {any} error @returns {Ailment} */
function ailmentOf (error) {
  if (error?.code === 'UNREACHABLE' || error?.code === 'NO_ADDRESS') return 'away'
  return error?.code === 'TIMEOUT' ? 'slow' : 'failing'
}

/** @param {Wanted} wanted */
function keyOf ({ video, viewer = '-', since = 0, nsfw, language = '-', discovery }) {
  return `${viewer}@${since} ${video} ${nsfw ? 1 : 0} ${language} ${discovery ?? '-'}`
}

module.exports = { Lists }
