'use strict'

const { RouteError } = require('./guards.js')
const { addressesOf } = require('./pairing-code.js')
const { RateLimit } = require('./rate-limit.js')
const { firstLanguage } = require('./related-search.js')
const { toUuid } = require('./uuid.js')

/**
 * @typedef {import('./guards.js').User} User
 * @typedef {import('express').Request} Request
 */

const MOST_A_MINUTE = 60
const SEARCH_MS = 10_000
const DEFAULT_COUNT = 24
const MAX_COUNT = 50
// Of what fits, some may have been watched since, hidden or blocked.
const ASKED = 100
const ANYWHERE = { id: 0, url: '', channelId: 0, accountId: 0, scope: null }

/**
 * Lists for the viewers' own page and for apps: beside a public video, or for the viewer whose token came along. PeerTube is
 * asked as the caller, by its own search, so it decides what is visible; then the rules of the list on the watch page hold.
 */
class Recommendations {
  /**
   * @param {{ settings: import('./settings.js').Settings, related: import('./related.js').Related,
   *           viewers: import('./viewers.js').Viewers, pseudonyms: import('./pseudonym.js').Pseudonyms,
   *           daemon: import('./daemon.js').Daemon,
   *           config: import('@peertube/peertube-types').PeerTubeHelpers['config'], clock: import('./clock.js').Clock,
   *           log: import('./log.js').Log, isErased: () => boolean, fetch?: typeof globalThis.fetch }} parts
   */
  constructor (parts) {
    this.parts = parts
    this.fetch = parts.fetch ?? globalThis.fetch
    this.limit = new RateLimit({ most: MOST_A_MINUTE, clock: parts.clock })
  }

  /** @param {import('express').Router} router @param {import('./guards.js').Guards} guards */
  mount (router, guards) {
    router.get('/recommendations/v1/videos', guards.everybody(async (req, res) => {
      const user = await guards.maybe(res)
      const seconds = this.limit.wait(user ? `user ${user.id}` : req.ip ?? '')
      if (seconds > 0) {
        res.set('Retry-After', String(seconds))
        throw new RouteError(429, 'Too many requests; try again in a minute.')
      }
      if (this.parts.isErased()) throw new RouteError(410, 'Everything was erased; the plugin is about to be uninstalled.')
      const count = countOf(req.query.count)
      res.json(req.query.video === undefined ? await this.own(req, user, count) : await this.beside(req, user, count))
    }))
  }

  /** Videos beside one. @param {Request} req @param {User | undefined} user @param {number} count */
  async beside (req, user, count) {
    const { settings, related } = this.parts
    const video = typeof req.query.video === 'string' ? toUuid(req.query.video) : undefined
    if (!video) throw new RouteError(400, 'video is the uuid, or short id, of a public video.')
    if (!settings.values.relatedList) throw new RouteError(404, 'There are no suggestions beside videos on this instance.')
    if (settings.values.membersOnly && !user) throw new RouteError(401, 'Suggestions are for members here: send a token.')
    const plan = await related.plan({ video, count, language: firstLanguage(req) }, { user })
    return this.#found(plan, req, user)
  }

  /** A viewer's own videos. @param {Request} req @param {User | undefined} user @param {number} count */
  async own (req, user, count) {
    if (!user) throw new RouteError(401, 'Give video, or log in: without a video the list is a viewer\'s own.')
    const { viewers, related, pseudonyms, daemon, log } = this.parts
    /** What the list waits for. @param {'history-off' | 'not-on' | 'no-model'} state */
    const nothing = state => ({ state, known: 0, total: 0, data: [] })
    const { history, effective, ...chosen } = await viewers.standing(user.id)
    if (!history) return nothing('history-off')
    if (!effective.personal) return nothing('not-on')
    const [viewer, discovery] = [pseudonyms.of(user.id), chosen.discovery ?? undefined]
    const { unwanted, nsfw } = await related.rules(user)
    try {
      const { candidates, known } = await daemon.recommendations({ viewer, nsfw, limit: ASKED, discovery })
      const list = { current: ANYWHERE, candidates, exact: true }
      const plan = { count, unwanted, nsfw, list }
      return { state: 'ready', known, ...await this.#found(plan, req, user) }
    } catch (error) {
      if (error instanceof RouteError) throw error
      if (/** @type {any} */ (error)?.status === 503) return nothing('no-model')
      log.warn('the daemon did not make a viewer\'s own list', error)
      throw new RouteError(502, 'The daemon cannot be reached just now; try again later.')
    }
  }

  /**
   * What of a plan PeerTube shows to this caller, as its own search writes it, each with its reason.
   *
   * @param {import('./related.js').Plan} plan
   * @param {Request} req
   * @param {User | undefined} user
   */
  async #found (plan, req, user) {
    const { list } = plan
    if (!list || list.candidates.length === 0) return { total: 0, data: [] }
    const reasons = new Map(list.candidates.map(({ uuid, reason }) => [uuid, reason]))
    const found = await this.parts.related.searched(plan, name => this.#search(name, req, user))
    const data = found.map(video => ({ ...video, reason: reasons.get(video.uuid) })).filter(({ reason }) => reason)
    return { total: data.length, data }
  }

  /** @param {string} name of the plan @param {Request} req @param {User | undefined} user @returns {Promise<any[]>} */
  async #search (name, req, user) {
    const query = new URLSearchParams({
      shoal: name, searchTarget: 'local', sort: '-publishedAt', skipCount: 'true', ...(user ? { excludeAlreadyWatched: 'true' } : {})
    })
    const [here] = addressesOf(this.parts.config)
    const answer = await this.fetch(`${here}/api/v1/search/videos?${query}`, {
      headers: {
        accept: 'application/json',
        // PeerTube counts requests by address: this one is the caller's, not the plugin's.
        'x-forwarded-for': req.ip ?? '',
        ...(user ? { authorization: req.headers.authorization ?? '' } : {})
      },
      redirect: 'error',
      signal: AbortSignal.timeout(SEARCH_MS)
    }).catch(() => undefined)
    const found = answer?.ok ? await answer.json().catch(() => undefined) : undefined
    if (Array.isArray(found?.data)) return found.data
    if (answer?.status === 429) throw new RouteError(429, 'Too many requests; try again in a minute.')
    this.parts.log.warn('PeerTube did not answer the plugin\'s own search')
    throw new RouteError(503, 'PeerTube did not answer its own search; try again later.')
  }
}

/** @param {unknown} given */
function countOf (given) {
  const count = given === undefined ? DEFAULT_COUNT : Number(given)
  if (!Number.isInteger(count) || count < 1 || count > MAX_COUNT) {
    throw new RouteError(400, `count is a whole number from 1 to ${MAX_COUNT}.`)
  }
  return count
}

module.exports = { Recommendations }
