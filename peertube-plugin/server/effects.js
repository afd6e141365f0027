'use strict'

const { Limit, RouteError } = require('./guards.js')
const { EFFECTS, TABLES } = require('./sql.js')

/**
 * @typedef {typeof EFFECTS[number]} Counter
 * @typedef {Record<Counter, number>} Totals
 * @typedef {(sql: string, options?: { bind?: unknown[] }) => Promise<any>} Query
 */

const DEFINITION = `CREATE TABLE IF NOT EXISTS ${TABLES.effect} (
  day date PRIMARY KEY,
  ${EFFECTS.map(name => `"${name}" bigint NOT NULL DEFAULT 0`).join(', ')}
)`
const ADD = `INSERT INTO ${TABLES.effect} (day, ${EFFECTS.map(name => `"${name}"`).join(', ')})
  VALUES ($1::date, ${EFFECTS.map((_, place) => `$${place + 2}`).join(', ')})
  ON CONFLICT (day) DO UPDATE SET
    ${EFFECTS.map(name => `"${name}" = ${TABLES.effect}."${name}" + excluded."${name}"`).join(', ')}`
const KEEP_DAYS = 400
const WRITE_MS = 60_000

/** What a watch page may say, one event in each request; what each adds to the day. @type {Record<string, Counter[]>} */
const EVENTS = {
  page: ['pages'],
  'explained-page': ['pages', 'explained'],
  click: ['clicked'],
  'stock-click': ['stockClicked'],
  hide: ['hidden']
}
/** Of one server process: more than a large instance sends, and all that a stranger can add to a day. */
const LIMIT = { burst: 100, perSecond: 20, perDay: 100_000 }

/** Lists and watch pages of a day below which nothing is said about them. */
const FEWEST = 10

/**
 * Daily totals of what suggestions achieve: no viewer, video, address or time finer than a day is known here. They are
 * added up in memory and written at most once a minute, so that the database does not tell when one event happened.
 */
class Effects {
  #query
  /** @type {Map<string, Totals>} */
  #pending = new Map()
  #written
  /** @type {Promise<void>} */
  #writing = Promise.resolve()
  #pruned = ''
  #failing = false
  /** @type {{ day: string, answer: Promise<boolean> } | undefined} */
  #silent

  /**
   * @param {Query} query
   * @param {{ sql: import('./sql.js').Queries, clock: import('./clock.js').Clock, log: import('./log.js').Log,
   *           settings: import('./settings.js').Settings, isErased: () => boolean }} parts
   */
  constructor (query, { sql, clock, log, settings, isErased }) {
    this.#query = query
    this.sql = sql
    this.clock = clock
    this.log = log
    this.settings = settings
    this.isErased = isErased
    this.#written = clock.now()
  }

  async createTable () {
    await this.#query(DEFINITION)
  }

  /** @param {import('express').Router} router @param {import('./guards.js').Guards} guards */
  mount (router, guards) {
    const limit = new Limit(this.clock, LIMIT)
    router.post('/effects/v1/count', guards.limited(limit, (req, res) => {
      this.count(req.body?.event, req.headers)
      res.status(204).end()
    }))
    router.get('/effects/v1/silent', guards.everybody(async (_req, res) => { res.json({ silent: await this.silent() }) }))
    router.get('/export/v1/effects', guards.daemon(async (_req, res) => {
      res.json({ fills: this.fills, days: await this.days(KEEP_DAYS) })
    }))
  }

  /** Whether every watch page is to show a list of ours. Where members alone see them, pages may be those of others. */
  get fills () {
    const { relatedList, membersOnly } = this.settings.values
    return relatedList && !membersOnly
  }

  /**
   * Count what a watch page says, unless its browser asks not to be counted.
   *
   * @param {unknown} event
   * @param {import('http').IncomingHttpHeaders} headers
   */
  count (event, headers) {
    // Other sites must not have their visitors count here.
    const { dnt, 'sec-gpc': gpc, 'sec-fetch-site': site = 'same-origin' } = headers
    const counters = typeof event === 'string' && Object.hasOwn(EVENTS, event) ? EVENTS[event] : undefined
    if (!counters || site !== 'same-origin') throw new RouteError(400, 'There is nothing to count.')
    if (dnt === '1' || gpc === '1') return
    for (const counter of counters) this.add(counter)
  }

  /** @param {Counter} counter */
  add (counter) {
    if (this.isErased()) return
    const day = this.clock.today()
    const totals = this.#pending.get(day) ?? none()
    totals[counter]++
    this.#pending.set(day, totals)
    if (this.clock.now() - this.#written >= WRITE_MS) void this.write()
  }

  /** Add what was counted here to what all processes counted. Never rejects; what could not be written is kept. */
  write () {
    this.#written = this.clock.now()
    this.#writing = this.#writing.then(() => this.#write())
    return this.#writing
  }

  /**
   * Totals by day, over all server processes, oldest first; of other processes without their last minute.
   *
   * @param {number} count how many days, today included
   * @returns {Promise<({ day: string } & Totals)[]>} days without any are left out
   */
  async days (count) {
    await this.write()
    if (this.isErased()) return []
    const rows = await this.sql.effects(this.clock.today(), count)
    return rows.map(({ day, ...totals }) => {
      const numbers = Object.fromEntries(EFFECTS.map(name => [name, Number(totals[name])]))
      return { day, .../** @type {Totals} */ (numbers) }
    })
  }

  /** Totals of today, or with yesterday's where today has too few to tell. @returns {Promise<Totals>} */
  async lately () {
    // Where the table cannot be read, the check of the tables says so.
    const days = await this.days(2).catch(() => [])
    const today = days.filter(({ day }) => day === this.clock.today())
    const enough = today.some(({ filled, stock }) => filled + stock >= FEWEST)
    const sum = none()
    for (const totals of enough ? today : days) for (const name of EFFECTS) sum[name] += totals[name]
    return sum
  }

  /**
   * Whether watch pages were seen yesterday, and PeerTube asked for no list. Anybody may know it, so it changes once a day:
   * who adds made-up pages must not see from it when somebody watches.
   */
  silent () {
    const day = this.clock.today()
    if (this.#silent?.day !== day) {
      const yesterday = this.days(2).then(days => days.find(found => found.day !== day) ?? none())
      this.#silent = { day, answer: yesterday.then(isSilent, () => false) }
    }
    return this.#silent.answer.then(silent => silent && this.fills)
  }

  async #write () {
    const pending = this.#pending
    this.#pending = new Map()
    if (this.isErased()) return
    try {
      for (const [day, totals] of pending) {
        await this.#query(ADD, { bind: [day, ...EFFECTS.map(name => totals[name])] })
        pending.delete(day)
      }
      const today = this.clock.today()
      if (this.#pruned !== today) {
        await this.#query(`DELETE FROM ${TABLES.effect} WHERE day <= $1::date - ${KEEP_DAYS}`, { bind: [today] })
        this.#pruned = today
      }
      this.#failing = false
    } catch (error) {
      for (const [day, totals] of pending) {
        const since = this.#pending.get(day) ?? none()
        for (const name of EFFECTS) since[name] += totals[name]
        this.#pending.set(day, since)
      }
      if (!this.#failing) this.log.warn('what suggestions achieve could not be written; it is kept and tried again', error)
      this.#failing = true
    }
  }
}

/** @returns {Totals} */
function none () {
  return /** @type {Totals} */ (Object.fromEntries(EFFECTS.map(name => [name, 0])))
}

/** @param {Totals} totals */
function isSilent ({ pages, filled, stock }) {
  return pages >= FEWEST && filled + stock === 0
}

module.exports = { Effects, FEWEST, isSilent }
