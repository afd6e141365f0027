'use strict'

/** @typedef {{ channels: Set<number>, hosts: Set<string>, videos: Set<string> }} Excluded */

/** What the admin and the owners of channels took out of suggestions: read each time, whichever process was told. */
class Exclusions {
  /** @param {{ sql: import('./sql.js').Queries }} parts */
  constructor ({ sql }) {
    this.sql = sql
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

  /** @returns {Promise<Excluded>} channel ids, hosts, urls of videos */
  async current () {
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
