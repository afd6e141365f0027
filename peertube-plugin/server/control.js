'use strict'

const { DaemonError } = require('./daemon.js')
const { RouteError } = require('./guards.js')

const BASE = '/admin/v1/control/'
const MAX_BODY = 100 * 1024
const MAX_QUERY = 300
const MAX_SAID = 1000
const READ_MS = 30_000
const CHANGE_MS = 60_000
const REVERT_MS = 300_000
const HOST = /^(?=.{1,255}$)[a-z0-9-]+(?:\.[a-z0-9-]+)*(?::\d{1,5})?$/
const MODEL = /^[\w-]{1,100}$/

/** What can be asked, with the parameters that go along. */
const READ = /** @type {const} */ ({
  overview: [],
  peers: [],
  circle: [],
  introductions: [],
  group: [],
  reverts: [],
  share: [],
  rounds: ['limit'],
  models: [],
  suspects: [],
  ledger: ['after', 'limit'],
  videos: ['q', 'limit'],
  related: ['video', 'limit']
})

/** What can be ordered, with the time it may take. */
const CHANGE = /** @type {const} */ ({
  peers: CHANGE_MS,
  'peers/candidates': CHANGE_MS,
  'circle/look': CHANGE_MS,
  'circle/approve': CHANGE_MS,
  introductions: CHANGE_MS,
  'peers/:host/approve': CHANGE_MS,
  'peers/:host/pause': CHANGE_MS,
  'peers/:host/resume': CHANGE_MS,
  'peers/:host/remove': CHANGE_MS,
  'peers/:host/revert': REVERT_MS,
  'group/look': CHANGE_MS,
  'group/join': CHANGE_MS,
  'group/leave': CHANGE_MS,
  'group/host': CHANGE_MS,
  'group/close': CHANGE_MS,
  'group/start': CHANGE_MS,
  'group/key': CHANGE_MS,
  'group/invite': CHANGE_MS,
  'group/approve': CHANGE_MS,
  'group/members/:host/admit': CHANGE_MS,
  'group/members/:host/refuse': CHANGE_MS,
  'group/members/:host/eject': CHANGE_MS,
  'models/:model/accept': CHANGE_MS,
  'models/:model/reject': CHANGE_MS
})

/**
 * The administrator's page asks the daemon through here: a fixed list of questions and orders, small bodies in, bounded
 * JSON out. Everything that decides is in the daemon.
 */
class Control {
  /** @param {{ daemon: import('./daemon.js').Daemon, log: import('./log.js').Log }} parts */
  constructor ({ daemon, log }) {
    this.daemon = daemon
    this.log = log
  }

  /** @param {import('express').Router} router @param {import('./guards.js').Guards} guards */
  mount (router, guards) {
    for (const [path, parameters] of Object.entries(READ)) {
      router.get(BASE + path, guards.admin((req, res) => (
        this.#pass(res, path + queryOf(req, parameters), { timeout: READ_MS }))))
    }
    for (const [path, timeout] of Object.entries(CHANGE)) {
      router.post(BASE + path, guards.admin((req, res) => (
        this.#pass(res, filled(path, req.params), { timeout, body: bodyOf(req) }))))
    }
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
    res.status([401, 403].includes(status) ? 502 : status).json(status < 400 ? body : told(body))
  }
}

/** @param {import('express').Request} req @param {readonly string[]} parameters */
function queryOf (req, parameters) {
  const query = new URLSearchParams()
  for (const name of parameters) {
    const value = req.query[name]
    if (value === undefined) continue
    if (typeof value !== 'string' || value.length > MAX_QUERY) throw new RouteError(400, `${name} is not usable.`)
    query.set(name, value)
  }
  return query.size ? `?${query}` : ''
}

/** @param {string} path @param {Record<string, string>} params */
function filled (path, { host, model }) {
  const name = host?.toLowerCase()
  if (name !== undefined && !HOST.test(name)) throw new RouteError(400, 'Name a host, such as video.example.')
  if (model !== undefined && !MODEL.test(model)) throw new RouteError(400, 'Name a model by its id.')
  return path.replace(':host', encodeURIComponent(name ?? '')).replace(':model', model ?? '')
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

/** @param {any} error @returns {{ status: number, body: object }} */
function failure (error) {
  if (error instanceof DaemonError && error.code === 'TIMEOUT') {
    return { status: 504, body: { code: 'daemon-slow', message: 'The daemon takes too long to answer',
      advice: 'It may still be working: look again in a minute.' } }
  }
  return { status: 502, body: { code: 'daemon-away', message: 'The daemon gives no usable answer',
    advice: 'Start it, and check its address in the plugin\'s settings.' } }
}

/** An error in the daemon's form, and in the one of this plugin's other routes. @param {any} body */
function told (body) {
  const [code, message, advice] = [body?.code, body?.message, body?.advice].map(text => (
    typeof text === 'string' ? text.slice(0, MAX_SAID) : ''))
  return { code, message, advice, error: [message, advice].filter(Boolean).join('. ') }
}

module.exports = { Control }
