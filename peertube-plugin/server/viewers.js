'use strict'

const { Lru } = require('./lru.js')

const KEEP_MS = 60_000

/**
 * @typedef {object} Standing what holds for one viewer
 * @property {boolean} history whether PeerTube keeps their history
 * @property {boolean} chosen whether they ever chose
 * @property {{ training: boolean, personal: boolean }} choice what they chose, or what holds by default
 * @property {{ training: boolean, personal: boolean }} effective what that comes to
 * @property {import('./consent.js').Discovery | null} discovery how far lists lead them, null: as the site sets it
 * @typedef {{ videos: Set<number>, channels: Set<number> }} Hidden ids
 */

/** What holds for each viewer and what they hid, kept for a minute and dropped when they change it. */
class Viewers {
  /** @type {Lru<number, { at: number, standing: Promise<Standing>, hidden: Promise<Hidden> }>} */
  #kept = new Lru(2000)

  /**
   * @param {{ settings: import('./settings.js').Settings, sql: import('./sql.js').Queries,
   *           clock: import('./clock.js').Clock }} parts
   */
  constructor ({ settings, sql, clock }) {
    this.settings = settings
    this.sql = sql
    this.clock = clock
  }

  /** @param {number} userId */
  of (userId) {
    const kept = this.#kept.get(userId)
    if (kept && this.clock.now() - kept.at < KEEP_MS) return kept
    const entry = { at: this.clock.now(), standing: this.standing(userId), hidden: this.#hidden(userId) }
    this.#kept.set(userId, entry)
    // A failed look-up is not kept, and is nobody's unhandled rejection.
    Promise.all([entry.standing, entry.hidden]).catch(() => { this.changed(userId) })
    return entry
  }

  /** @param {number} userId */
  changed (userId) {
    this.#kept.deleteWhere(key => key === userId)
  }

  clear () {
    this.#kept.clear()
  }

  /** Read now, not from what is kept. @param {number} userId @returns {Promise<Standing>} */
  async standing (userId) {
    const row = await this.sql.choices(userId)
    const history = row?.history === true
    const choice = {
      training: row?.training ?? this.settings.values.consent === 'opt-out',
      personal: row?.personal ?? false
    }
    const training = history && choice.training
    return {
      history,
      chosen: row?.training != null,
      choice,
      // Personal suggestions come from what the daemon knows, which is only of those who take part.
      effective: { training, personal: training && choice.personal },
      discovery: row?.discovery ?? null
    }
  }

  /** @param {number} userId @returns {Promise<Hidden>} */
  async #hidden (userId) {
    const rows = await this.sql.hiddenIds(userId)
    const ids = (/** @type {(number | null)[]} */ column) => new Set(column.filter(id => id !== null))
    return { videos: ids(rows.map(row => row.videoId)), channels: ids(rows.map(row => row.channelId)) }
  }
}

module.exports = { Viewers }
