'use strict'

/** Where time comes from; tests pass their own. `now` in milliseconds, monotonic enough for ages of cache entries. */
const systemClock = {
  now: () => performance.now(),
  today: () => new Date().toISOString().slice(0, 10),
  /** @param {() => void} callback @param {number} ms @returns {any} */
  setTimeout: (callback, ms) => setTimeout(callback, ms),
  /** @param {any} timer */
  clearTimeout: timer => { clearTimeout(timer) }
}

/** @typedef {typeof systemClock} Clock */

module.exports = { systemClock }
