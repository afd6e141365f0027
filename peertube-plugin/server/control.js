'use strict'

const { DaemonError } = require('./daemon.js')
const { RouteError } = require('./guards.js')

const BASE = '/admin/v1/control'
const MAX_BODY = 100 * 1024
const MAX_QUERY = 2000
const READ_MS = 60_000
/** A revert may take this long. */
const CHANGE_MS = 300_000
const MOST_PARTS = 6
const AWAY = /** @type {const} */ ([502, 'daemon-away', 'The daemon gives no usable answer',
  'Start it, and check its address in the plugin\'s settings'])
const SLOW = /** @type {const} */ ([504, 'daemon-slow', 'The daemon takes too long to answer',
  'It may still be working: look again in a minute'])
const OLD = /** @type {const} */ ([502, 'daemon-old', 'The daemon has no page for administrators',
  'It is older than this plugin: update it'])
/** Names of routes, hosts and models. Nothing that could lead out of the admin API. */
const PART = /^(?!\.+$)[A-Za-z0-9._:-]{1,255}$/

/**
 * Carries what the administrators' page asks to the daemon's admin API: JSON of a bounded size, both ways. Which routes
 * there are, and everything that decides, is in the daemon, as the page is.
 */
class Control {
  /** @param {{ daemon: import('./daemon.js').Daemon, log: import('./log.js').Log }} parts */
  constructor ({ daemon, log }) {
    this.daemon = daemon
    this.log = log
  }

  /** @param {import('express').Router} router @param {import('./guards.js').Guards} guards */
  mount (router, guards) {
    router.use(BASE, guards.admin((req, res) => {
      const path = pathOf(req) + queryOf(req)
      if (req.method === 'GET') return this.#pass(res, path, { timeout: READ_MS })
      if (req.method === 'POST') return this.#pass(res, path, { timeout: CHANGE_MS, body: bodyOf(req) })
      throw new RouteError(405, 'Ask with GET, order with POST.')
    }))
  }

  /**
   * @param {import('express').Response} res
   * @param {string} path
   * @param {{ timeout: number, body?: unknown }} options
   */
  async #pass (res, path, options) {
    const { status, body } = await this.daemon.admin(path, options).catch(error => {
      this.log.warn('the daemon did not answer an administrator', error)
      return failure(error)
    })
    res.set('X-Content-Type-Options', 'nosniff')
    // The daemon's own "who are you" is about the plugin's secret, not about who asks here.
    res.status([401, 403].includes(status) ? 502 : status).json(body)
  }
}

/** @param {import('express').Request} req @returns {string} path below the admin API */
function pathOf (req) {
  const parts = req.path.slice(1).split('/').map(decoded)
  if (parts.length > MOST_PARTS || !parts.every(part => PART.test(part))) {
    throw new RouteError(400, 'This is no route of the admin API: name hosts as video.example, and models by their id.')
  }
  return parts.map(encodeURIComponent).join('/')
}

/** @param {string} text @returns {string} empty if it cannot be decoded */
function decoded (text) {
  try {
    return decodeURIComponent(text)
  } catch {
    return ''
  }
}

/** @param {import('express').Request} req */
function queryOf (req) {
  const at = req.url.indexOf('?')
  const query = at < 0 ? '' : new URLSearchParams(req.url.slice(at)).toString()
  if (query.length > MAX_QUERY) throw new RouteError(414, 'Ask for less: the question is too long.')
  return query && `?${query}`
}

/** @param {import('express').Request} req @returns {object} */
function bodyOf (req) {
  if (!req.is('json')) throw new RouteError(415, 'Send JSON.')
  if (typeof req.body !== 'object' || Array.isArray(req.body)) throw new RouteError(400, 'Send a JSON object.')
  if (Buffer.byteLength(JSON.stringify(req.body)) > MAX_BODY) {
    throw new RouteError(413, `An order has at most ${MAX_BODY} bytes.`)
  }
  return req.body
}

/** What to say of a daemon that gave no usable answer. @param {any} error @returns {{ status: number, body: object }} */
function failure (error) {
  const [status, code, message, advice] = !(error instanceof DaemonError)
    ? AWAY
    : error.code === 'TIMEOUT' ? SLOW : error.status === 404 ? OLD : AWAY
  return { status, body: { code, message, advice } }
}

module.exports = { Control, failure }
