'use strict'

const KEEP_MS = 60_000

/** @typedef {{ channels: Set<number>, hosts: Set<string>, videos: Set<string> }} Excluded */

/** What the admin and the owners of channels took out of suggestions, kept for a minute. */
class Exclusions {
  /** @type {{ at: number, excluded: Promise<Excluded> } | undefined} */
  #kept

  /** @param {{ sql: import('./sql.js').Queries, clock: import('./clock.js').Clock }} parts */
  constructor ({ sql, clock }) {
    this.sql = sql
    this.clock = clock
  }

  /** @returns {Promise<Excluded>} channel ids, hosts, urls of videos */
  current () {
    if (!this.#kept || this.clock.now() - this.#kept.at >= KEEP_MS) {
      const excluded = this.#load()
      this.#kept = { at: this.clock.now(), excluded }
      excluded.catch(() => { this.changed() })
    }
    return this.#kept.excluded
  }

  changed () {
    this.#kept = undefined
  }

  /** The admin's own, as text. @returns {Promise<{ channels: string[], hosts: string[], videos: string[] }>} */
  async admins () {
    const rows = await this.sql.adminExclusions()
    const of = (/** @type {string} */ kind) => rows.filter(row => row.kind === kind).map(row => row.value)
    return { channels: of('channel'), hosts: of('host'), videos: of('video') }
  }

  /** Those of the admin and of owners together, as the daemon needs them. */
  async all () {
    const [admins, channels] = await Promise.all([this.admins(), this.sql.excludedChannels()])
    return { ...admins, channels: [...new Set([...admins.channels, ...channels.map(({ url }) => url)])] }
  }

  async #load () {
    const [admins, channels] = await Promise.all([this.admins(), this.sql.excludedChannels()])
    return {
      channels: new Set(channels.map(({ id }) => id)),
      hosts: new Set(admins.hosts),
      videos: new Set(admins.videos)
    }
  }
}

/** @param {string} url @returns {string} host with port, empty when it is no address */
function hostOf (url) {
  try {
    return new URL(url).host
  } catch {
    return ''
  }
}

module.exports = { Exclusions, hostOf }
