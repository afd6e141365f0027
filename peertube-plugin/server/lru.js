'use strict'

/**
 * A map that holds at most `size` entries and drops the one not used for longest.
 *
 * @template K, V
 */
class Lru {
  /** @type {Map<K, V>} */
  #entries = new Map()

  /** @param {number} size */
  constructor (size) {
    this.size = size
  }

  /** @param {K} key @returns {V | undefined} */
  get (key) {
    const value = this.#entries.get(key)
    if (value === undefined) return undefined
    this.#entries.delete(key)
    this.#entries.set(key, value)
    return value
  }

  /** @param {K} key @param {V} value */
  set (key, value) {
    this.#entries.delete(key)
    this.#entries.set(key, value)
    if (this.#entries.size > this.size) {
      const [oldest] = this.#entries.keys()
      this.#entries.delete(oldest)
    }
  }

  /** @param {(key: K) => boolean} matches */
  deleteWhere (matches) {
    for (const key of this.#entries.keys()) if (matches(key)) this.#entries.delete(key)
  }

  clear () {
    this.#entries.clear()
  }
}

module.exports = { Lru }
