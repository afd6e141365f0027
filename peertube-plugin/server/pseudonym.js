'use strict'

const { createHmac } = require('node:crypto')

const HALF = 0xffffff
const ROUNDS = 4

/**
 * Names for viewers that only this instance can compute: HMAC-SHA256 (RFC 2104) of the user id under a key that never
 * leaves the plugin's storage, cut to 128 bits.
 */
class Pseudonyms {
  #key

  /** @param {Buffer} key 32 bytes */
  constructor (key) {
    this.#key = key
  }

  /** Name by another key from now on: everything was erased, and begun anew. @param {Buffer} key 32 bytes */
  renew (key) {
    this.#key = key
  }

  /** @param {number} userId @returns {string} 32 hexadecimal digits */
  of (userId) {
    return this.#mac(`viewer:${userId}`).subarray(0, 16).toString('hex')
  }

  /**
   * A page cursor that continues after a user without naming them: a keyed permutation of 48 bits (a Feistel network
   * with HMAC rounds), so that the id cannot be matched with a pseudonym.
   *
   * @param {number} userId at most 48 bits
   */
  seal (userId) {
    let [left, right] = [Math.floor(userId / (HALF + 1)), userId & HALF]
    for (let round = 0; round < ROUNDS; round++) [left, right] = [right, left ^ this.#round(round, right)]
    return left * (HALF + 1) + right
  }

  /** @param {number} cursor from `seal` */
  open (cursor) {
    let [left, right] = [Math.floor(cursor / (HALF + 1)), cursor & HALF]
    for (let round = ROUNDS - 1; round >= 0; round--) [left, right] = [right ^ this.#round(round, left), left]
    return left * (HALF + 1) + right
  }

  /** @param {number} round @param {number} half */
  #round (round, half) {
    return this.#mac(`cursor:${round}:${half}`).readUIntBE(0, 3)
  }

  /** @param {string} text */
  #mac (text) {
    return createHmac('sha256', this.#key).update(text).digest()
  }
}

module.exports = { Pseudonyms }
