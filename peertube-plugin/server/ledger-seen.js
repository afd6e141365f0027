'use strict'

const { RouteError } = require('./guards.js')

const MOST = 2 ** 48

/**
 * How far the daemon's ledger had come when the daemon told it last. PeerTube's database is backed up apart from the
 * daemon's folder: a daemon whose folder was put back from an older copy sees here that it lacks what was decided since.
 *
 * @typedef {{ begun: string, entries: number, head: string, decisions: number, decision: string }} Seen
 *   `begun`: hash of the first entry; `entries`, `head`: number and hash of the newest; `decisions`, `decision`: of the
 *   newest that says what was decided against somebody, 0 and empty while there is none
 */
class LedgerSeen {
  /** @param {{ stored: import('./stored.js').Stored }} parts */
  constructor ({ stored }) {
    this.stored = stored
  }

  /** @param {import('express').Router} router @param {import('./guards.js').Guards} guards */
  mount (router, guards) {
    router.get('/export/v1/ledger', guards.daemon(async (_req, res) => {
      res.json({ ledger: await this.stored.ledger() })
    }))
    router.post('/export/v1/ledger', guards.daemon(async (req, res) => {
      const ledger = read(req.query)
      if (!this.stored.erased) await this.stored.keepLedger(ledger)
      res.json({ ledger })
    }))
  }
}

/** @param {Record<string, unknown>} query @returns {Seen} */
function read (query) {
  const seen = {
    begun: hash(query, 'begun'),
    entries: number(query, 'entries'),
    head: hash(query, 'head'),
    decisions: number(query, 'decisions'),
    decision: query.decision === '' ? '' : hash(query, 'decision')
  }
  if ((seen.decision === '') !== (seen.decisions === 0) || seen.decisions > seen.entries || !seen.entries) {
    throw new RouteError(400, 'the newest decision is one of the entries.')
  }
  return seen
}

/** @param {Record<string, unknown>} query @param {string} name */
function hash (query, name) {
  const text = query[name]
  if (typeof text === 'string' && /^[0-9a-f]{64}$/.test(text)) return text
  throw new RouteError(400, `${name} is 64 hexadecimal digits.`)
}

/** @param {Record<string, unknown>} query @param {string} name */
function number (query, name) {
  const text = query[name]
  const value = typeof text === 'string' && /^\d{1,15}$/.test(text) ? Number(text) : NaN
  if (value >= 0 && value <= MOST) return value
  throw new RouteError(400, `${name} is a whole number from 0 to ${MOST}.`)
}

module.exports = { LedgerSeen }
