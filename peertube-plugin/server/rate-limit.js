'use strict'

const { createHmac, randomBytes } = require('node:crypto')
const { isIPv6 } = require('node:net')

const WINDOW_MS = 60_000
const MOST_CLIENTS = 20_000

/**
 * How many requests one client sends in a minute. Addresses are not kept: clients are told apart by an HMAC-SHA256 under a
 * key that is thrown away with the counts of its minute.
 */
class RateLimit {
  #key = randomBytes(32)
  /** @type {Map<string, number>} */
  #counts = new Map()
  #since = -Infinity

  /** @param {{ most: number, clock: import('./clock.js').Clock }} parts `most`: requests of one client in a minute */
  constructor ({ most, clock }) {
    this.most = most
    this.clock = clock
  }

  /**
   * Count a request.
   *
   * @param {string} client an address, or whatever else tells clients apart
   * @returns {number} 0, or the seconds to wait when it is one too many
   */
  wait (client) {
    const now = this.clock.now()
    if (now - this.#since >= WINDOW_MS) {
      this.#key = randomBytes(32)
      this.#counts.clear()
      this.#since = now
    }
    const name = createHmac('sha256', this.#key).update(network(client)).digest('base64')
    const count = (this.#counts.get(name) ?? 0) + 1
    // A flood from ever new addresses must not fill the memory: then those already known go on.
    const isNoOne = count === 1 && this.#counts.size >= MOST_CLIENTS
    if (!isNoOne) this.#counts.set(name, count)
    return isNoOne || count > this.most ? Math.ceil((WINDOW_MS - (now - this.#since)) / 1000) : 0
  }
}

/** Whoever has an IPv6 address usually has all that begin with the same 64 bits. @param {string} client */
function network (client) {
  if (!isIPv6(client) || client.includes('.')) return client
  const whole = client.replace('::', `:${'0:'.repeat(9 - client.split(':').length)}`)
  return whole.split(':').slice(0, 4).join(':')
}

module.exports = { RateLimit }
