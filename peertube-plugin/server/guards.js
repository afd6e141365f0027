'use strict'

const { createHash, timingSafeEqual } = require('node:crypto')

/**
 * @typedef {import('express').Request} Request
 * @typedef {import('express').Response} Response
 * @typedef {import('express').NextFunction} Next
 * @typedef {{ id: number, role: number, blocked: boolean }} User
 */

const MOST_DEPTH = 20

/** What the caller can put right; its message goes to them. */
class RouteError extends Error {
  /** @param {number} status @param {string} message what to do next */
  constructor (status, message) {
    super(message)
    this.status = status
  }
}

/** How often something may happen in this server process: so many at once, per second, and on a day (UTC). */
class Limit {
  #left
  #at
  #day = ''
  #today = 0

  /** @param {import('./clock.js').Clock} clock @param {{ burst: number, perSecond: number, perDay: number }} bounds */
  constructor (clock, bounds) {
    this.clock = clock
    this.bounds = bounds
    this.#left = bounds.burst
    this.#at = clock.now()
  }

  /** Whether it may happen once more. */
  take () {
    const { burst, perSecond, perDay } = this.bounds
    const now = this.clock.now()
    const day = this.clock.today()
    this.#left = Math.min(burst, this.#left + (now - this.#at) / 1000 * perSecond)
    this.#at = now
    if (day !== this.#day) this.#today = 0
    this.#day = day
    if (this.#left < 1 || this.#today >= perDay) return false
    this.#left--
    this.#today++
    return true
  }
}

/** Who may use a route, and what happens when a handler fails. */
class Guards {
  /**
   * @param {{ stored: import('./stored.js').Stored, settings: import('./settings.js').Settings,
   *           log: import('./log.js').Log, user: import('@peertube/peertube-types').PeerTubeHelpers['user'] }} parts
   */
  constructor ({ stored, settings, log, user }) {
    this.stored = stored
    this.settings = settings
    this.log = log
    this.user = user
  }

  /** @param {(req: Request, res: Response) => unknown} handler */
  everybody (handler) {
    return (/** @type {Request} */ req, /** @type {Response} */ res) => this.#run(req, res, () => handler(req, res))
  }

  /**
   * Everybody, all together no more often than a limit allows. Who asked is neither known nor kept.
   *
   * @param {Limit} limit
   * @param {(req: Request, res: Response) => unknown} handler
   */
  limited (limit, handler) {
    return this.everybody((req, res) => {
      if (!limit.take()) throw new RouteError(429, 'Too many requests at once; try again later.')
      return handler(req, res)
    })
  }

  /**
   * Holders of the shared secret. Anybody else gets what an unknown route answers, so that nothing tells them there
   * is one.
   *
   * @param {(req: Request, res: Response) => unknown} handler
   */
  daemon (handler) {
    return (/** @type {Request} */ req, /** @type {Response} */ res, /** @type {Next} */ next) => {
      const given = req.headers['x-shoal-secret']
      if (typeof given !== 'string') return next()
      return this.#run(req, res, () => sameSecret(given, this.settings.values.secret) ? handler(req, res) : next())
    }
  }

  /** Local users, by their PeerTube token. @param {(req: Request, res: Response, user: User) => unknown} handler */
  viewer (handler) {
    return (/** @type {Request} */ req, /** @type {Response} */ res) => this.#run(req, res, async () => {
      return handler(req, res, await this.#loggedIn(res))
    })
  }

  /** Administrators. @param {(req: Request, res: Response) => unknown} handler */
  admin (handler) {
    return (/** @type {Request} */ req, /** @type {Response} */ res) => this.#run(req, res, async () => {
      const user = await this.#loggedIn(res)
      if (user.role !== 0) throw new RouteError(403, 'This is for administrators of this instance only.')
      return handler(req, res)
    })
  }

  /** The user of a request where being logged in is a choice. @param {Response} res @returns {Promise<User | undefined>} */
  async maybe (res) {
    const user = await this.user.getAuthUser(res)
    return user && !user.blocked ? user : undefined
  }

  /** @param {Response} res @returns {Promise<User>} */
  async #loggedIn (res) {
    const user = await this.user.getAuthUser(res)
    if (!user) throw new RouteError(401, 'Log in first.')
    if (user.blocked) throw new RouteError(403, 'This account is blocked.')
    return user
  }

  /** @param {Request} req @param {Response} res @param {() => unknown} work */
  async #run (req, res, work) {
    try {
      res.set('Cache-Control', 'no-store')
      if (!isPlain(req.query) || !isPlain(req.body)) {
        throw new RouteError(400, 'Send text without NUL and without halves of characters, and no deeply nested values.')
      }
      // Which secret holds, and whether everything was erased, may have been decided in another server process.
      await this.stored.refresh()
      await work()
    } catch (error) {
      const known = error instanceof RouteError
      if (!known) this.log.error('a request failed', error)
      if (res.headersSent) {
        res.destroy()
        return
      }
      res.status(known ? error.status : 500)
        .json({ error: known ? error.message : 'This did not work; the server\'s log says more.' })
    }
  }
}

/**
 * Whether every text in a value can be written to a database, and the value be written as JSON again.
 *
 * @param {unknown} value
 */
function isPlain (value) {
  /** @type {[unknown, number][]} */
  const left = [[value, 0]]
  for (let next = left.pop(); next; next = left.pop()) {
    const [part, depth] = next
    if (typeof part === 'string' && /[\0\p{Cs}]/u.test(part)) return false
    if (typeof part !== 'object' || part === null || Buffer.isBuffer(part)) continue
    if (depth >= MOST_DEPTH) return false
    for (const [name, inner] of Object.entries(part)) left.push([name, depth], [inner, depth + 1])
  }
  return true
}

/**
 * Compare in constant time, whatever the lengths.
 *
 * @param {string} given
 * @param {string} secret
 */
function sameSecret (given, secret) {
  if (!secret) return false
  const digest = (/** @type {string} */ text) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(given), digest(secret))
}

module.exports = { Guards, Limit, RouteError }
