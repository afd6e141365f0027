'use strict'

/**
 * A logger that can say only fixed sentences and the kind of an error: messages of errors may hold addresses, SQL
 * with its values, titles or tokens.
 *
 * @param {Pick<import('@peertube/peertube-types').PeerTubeHelpers['logger'], 'info' | 'warn' | 'error'>} logger
 */
function createLog (logger) {
  return {
    /** @param {string} sentence */
    info: sentence => { logger.info(sentence) },
    /** @param {string} sentence @param {unknown} [error] */
    warn: (sentence, error) => { logger.warn(sentence + kind(error)) },
    /** @param {string} sentence @param {unknown} [error] */
    error: (sentence, error) => { logger.error(sentence + kind(error)) }
  }
}

/** @param {any} error */
function kind (error) {
  if (!error) return ''
  const code = error.code ?? error.cause?.code ?? error.original?.code
  const name = /^\w{1,60}$/.test(error.name) ? error.name : 'Error'
  return typeof code === 'string' && /^\w{1,40}$/.test(code) ? ` (${name}, ${code})` : ` (${name})`
}

/** @typedef {ReturnType<typeof createLog>} Log */

module.exports = { createLog }
