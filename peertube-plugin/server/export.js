'use strict'

const { createHash } = require('node:crypto')

const { hostOf } = require('./exclusions.js')
const { RouteError } = require('./guards.js')

const PAGE = 1000
const MAX_PAGE = 2000
const MAX_CURSOR = 2 ** 48
const MAX_ID = 0x7fffffff

/** What the daemon reads: pages by key, so that rows added meanwhile move nothing. */
class Export {
  /**
   * @param {{ settings: import('./settings.js').Settings, sql: import('./sql.js').Queries,
   *           pseudonyms: import('./pseudonym.js').Pseudonyms, exclusions: import('./exclusions.js').Exclusions,
   *           audience: import('./audience.js').Audience,
   *           config: import('@peertube/peertube-types').PeerTubeHelpers['config'],
   *           categories: () => Record<string, string>, version: string, isErased: () => boolean }} parts
   */
  constructor ({ settings, sql, pseudonyms, exclusions, audience, config, categories, version, isErased }) {
    this.settings = settings
    this.sql = sql
    this.pseudonyms = pseudonyms
    this.exclusions = exclusions
    this.audience = audience
    this.config = config
    this.categories = categories
    this.version = version
    this.isErased = isErased
  }

  /** @param {import('express').Router} router @param {import('./guards.js').Guards} guards */
  mount (router, guards) {
    router.get('/export/v1/status', guards.daemon(async (_req, res) => { res.json(await this.status()) }))
    router.get('/export/v1/videos', guards.daemon(async (req, res) => { res.json(await this.videos(req.query)) }))
    router.get('/export/v1/engagements',
      guards.daemon(async (req, res) => { res.json(await this.engagements(req.query)) }))
    router.get('/export/v1/participants',
      guards.daemon(async (req, res) => { res.json(await this.participants(req.query)) }))
    router.get('/export/v1/exclusions', guards.daemon(async (_req, res) => {
      res.json(this.isErased() ? { channels: [], hosts: [], videos: [] } : await this.exclusions.all())
    }))
  }

  async status () {
    const { serverVersion, instance } = await this.config.getServerConfig()
    return {
      plugin: this.version,
      peertube: serverVersion,
      host: hostOf(this.config.getWebserverUrl()),
      name: instance?.name ?? '',
      consent: this.settings.values.consent,
      participants: this.isErased() ? 0 : await this.sql.countParticipants(this.#byDefault),
      nsfw: instance?.defaultNSFWPolicy === 'display' ? 'display' : 'hide',
      marks: await this.sql.marks(),
      closed: (await this.audience.openings()).length === 0
    }
  }

  /** @param {Record<string, unknown>} query */
  async videos (query) {
    const limit = whole(query, 'limit', PAGE, MAX_PAGE)
    const rows = await this.sql.videos({ after: id(whole(query, 'after', 0)), limit })
    const categories = this.categories()
    const items = rows.map(row => ({
      url: row.url,
      uuid: row.uuid,
      title: row.name,
      channel: row.channel,
      host: hostOf(row.url),
      category: categories[row.category] ?? null,
      language: row.language,
      nsfw: row.nsfw,
      published: row.published,
      own: row.own,
      stored: row.stored,
      views: row.views,
      likes: row.likes,
      tags: row.tags,
      scope: row.scope
    }))
    return { items, next: rows.length === limit ? rows[limit - 1].id : null }
  }

  /** @param {Record<string, unknown>} query */
  async engagements (query) {
    const { kind } = query
    if (kind !== 'rates' && kind !== 'history') throw new RouteError(400, 'kind is either rates or history.')
    const limit = whole(query, 'limit', PAGE, MAX_PAGE)
    const page = {
      after: id(whole(query, 'after', 0)), upto: id(whole(query, 'upto')), limit, byDefault: this.#byDefault
    }
    if (this.isErased()) return { items: [], next: null }
    const rows = await this.sql[kind](page)
    const items = rows.map(row => ({
      viewer: this.pseudonyms.of(row.userId),
      video: row.url,
      liked: row.type === 'like',
      disliked: row.type === 'dislike',
      watched: row.watched ?? 0,
      at: row.at
    }))
    return { items, next: rows.length === limit ? rows[limit - 1].id : null }
  }

  /** @param {Record<string, unknown>} query */
  async participants (query) {
    const limit = whole(query, 'limit', PAGE, MAX_PAGE)
    const cursor = whole(query, 'after', 0)
    const page = {
      after: cursor === 0 ? 0 : this.pseudonyms.open(cursor),
      limit,
      rates: id(whole(query, 'rates')),
      history: id(whole(query, 'history')),
      byDefault: this.#byDefault
    }
    if (page.after > MAX_ID) throw new RouteError(400, 'after is 0 or a next received before.')
    if (this.isErased()) return { items: [], next: null }
    const rows = await this.sql.participants(page)
    const items = rows.map(({ userId, content }) => ({
      viewer: this.pseudonyms.of(userId),
      state: createHash('sha256').update(content).digest('hex').slice(0, 32)
    }))
    return { items, next: rows.length === limit ? this.pseudonyms.seal(rows[limit - 1].userId) : null }
  }

  get #byDefault () {
    return this.settings.values.consent === 'opt-out'
  }
}

/**
 * @param {Record<string, unknown>} query
 * @param {string} name
 * @param {number} [byDefault] none: the value has to be given
 * @param {number} [most]
 */
function whole (query, name, byDefault, most = MAX_CURSOR) {
  const text = query[name]
  if (text === undefined && byDefault !== undefined) return byDefault
  const value = typeof text === 'string' && /^\d{1,15}$/.test(text) ? Number(text) : NaN
  const least = name === 'limit' ? 1 : 0
  if (!(value >= least && value <= most)) {
    throw new RouteError(400, `${name} is a whole number from ${least} to ${most}.`)
  }
  return value
}

/** Ids are 32-bit in PeerTube's tables; a larger bound is the same as the largest. @param {number} value */
function id (value) {
  return Math.min(value, MAX_ID)
}

module.exports = { Export }
