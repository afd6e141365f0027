'use strict'

/**
 * @typedef {object} Standing what holds for one viewer
 * @property {boolean} history whether PeerTube keeps their history
 * @property {boolean} chosen whether they ever chose
 * @property {{ training: boolean, personal: boolean }} choice what they chose, or what holds by default
 * @property {{ training: boolean, personal: boolean }} effective what that comes to
 * @property {number} since when they chose last, in seconds; 0: never
 * @property {import('./consent.js').Discovery | null} discovery how far lists lead them, null: as the site sets it
 * @typedef {{ videos: Set<number>, channels: Set<number> }} Hidden ids
 */

/** What holds for each viewer and what they hid: read each time, since another server process may have been told. */
class Viewers {
  /** @param {{ settings: import('./settings.js').Settings, sql: import('./sql.js').Queries }} parts */
  constructor ({ settings, sql }) {
    this.settings = settings
    this.sql = sql
  }

  /** @param {number} userId @returns {Promise<Standing>} */
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
      since: row?.since ?? 0,
      discovery: row?.discovery ?? null
    }
  }

  /** @param {number} userId @returns {Promise<Hidden>} */
  async hidden (userId) {
    const rows = await this.sql.hiddenIds(userId)
    const ids = (/** @type {(number | null)[]} */ column) => new Set(column.filter(id => id !== null))
    return { videos: ids(rows.map(row => row.videoId)), channels: ids(rows.map(row => row.channelId)) }
  }
}

module.exports = { Viewers }
