'use strict'

const { randomUUID } = require('node:crypto')

const { hostOf } = require('./exclusions.js')
const { firstLanguage, isOfBrowser, parseRecommendations, parseRelatedSearch } = require('./related-search.js')
const { isUuid, videoOfPage } = require('./uuid.js')

/**
 * @typedef {import('./daemon.js').Reason} Reason
 * @typedef {import('./exclusions.js').Excluded} Excluded
 * @typedef {import('./viewers.js').Hidden} Hidden
 * @typedef {{ excluded: Excluded, hidden: Hidden | null }} Unwanted
 * @typedef {object} Plan how to arrange what PeerTube finds
 * @property {number} count how many the page asked for
 * @property {Unwanted} unwanted
 * @property {import('./lists.js').List | null} list null: PeerTube's own list, only without what nobody wants there
 * @property {boolean} nsfw
 * @property {{ current: import('./lists.js').Current | undefined } | null} [browser] of a list that a browser made: the
 *   video beside it, if known; null when it cannot be told what is wanted, so that nothing is shown
 */

/** How long a page waits for a list that is not in memory. One that is there waits for nothing but the database. */
const COLD_MS = 250
const DATABASE_MS = 1000
const POLICY_MS = 5 * 60_000
const PUBLIC = 1
const SCOPE = { platform: 2, account: 3, channel: 4 }

/** Fills PeerTube's "Other videos" through the filters around its own search, which decides what is visible. */
class Related {
  /** @type {WeakMap<object, Plan>} */
  #plans = new WeakMap()
  /** @type {Map<string, Plan>} of searches that the plugin itself sends */
  #expected = new Map()
  /** @type {Set<() => void>} */
  #waiting = new Set()
  /** @type {{ at: number, display: Promise<boolean> } | undefined} */
  #policy
  #closed = false

  /**
   * @param {{ settings: import('./settings.js').Settings, lists: import('./lists.js').Lists,
   *           viewers: import('./viewers.js').Viewers, exclusions: import('./exclusions.js').Exclusions,
   *           pseudonyms: import('./pseudonym.js').Pseudonyms, sql: import('./sql.js').Queries,
   *           config: import('@peertube/peertube-types').PeerTubeHelpers['config'],
   *           clock: import('./clock.js').Clock, effects: import('./effects.js').Effects }} parts
   */
  constructor ({ settings, lists, viewers, exclusions, pseudonyms, sql, config, clock, effects }) {
    this.settings = settings
    this.lists = lists
    this.viewers = viewers
    this.exclusions = exclusions
    this.pseudonyms = pseudonyms
    this.sql = sql
    this.config = config
    this.clock = clock
    this.effects = effects
  }

  /**
   * `filter:api.search.videos.local.list.params`: put the daemon's candidates in place of the tags. On any doubt, and
   * when that takes too long, the search goes on as it was.
   *
   * @param {any} params
   * @param {{ req?: import('express').Request }} [context]
   */
  async params (params, context) {
    if (this.#closed) return params
    const name = String(context?.req?.query?.shoal)
    const own = this.#expected.get(name)
    if (own?.list) {
      this.#expected.delete(name)
      return this.#withList(params, own, own.list)
    }
    if (isOfBrowser(params, context?.req)) return this.#forBrowser(params, context?.req)
    const call = parseRelatedSearch(params, context?.req, this.config.getWebserverUrl())
    if (!call) return params
    // Our own block asks in PeerTube's place: that PeerTube does not ask stays true.
    const counts = this.settings.values.relatedList && context?.req?.query.shoal !== 'own-block'
    if (counts && !call.video) this.effects.add('withoutVideo')
    return this.#replaced(call, params, counts)
  }

  /**
   * `filter:api.recommendations.videos.list.params`, for PeerTubes whose watch page asks a route of its own for its list.
   *
   * @param {any} params
   * @param {{ req?: import('express').Request }} [context]
   */
  async recommendations (params, context) {
    const call = this.#closed ? undefined : parseRecommendations(params, context?.req, this.config.getWebserverUrl())
    return call ? this.#replaced(call, params, true) : params
  }

  /**
   * @param {import('./related-search.js').RelatedSearch} call
   * @param {any} params
   * @param {boolean} counts whether PeerTube asks for a viewer's page
   */
  async #replaced (call, params, counts) {
    if (!this.settings.values.relatedList) return params
    const add = counts ? this.effects.add.bind(this.effects) : () => {}
    const plan = await this.#within(DATABASE_MS, this.plan(call, params))
    if (!plan) {
      add('stock')
      return params
    }
    if (!plan.list) {
      // Where nobody expects another list, nothing is wrong with the daemon.
      if (this.#maySee({ exact: false }, Boolean(params.user?.id))) add('stock')
      this.#plans.set(params, plan)
      return params
    }
    add('filled')
    return this.#withList(params, plan, plan.list)
  }

  /**
   * Have PeerTube find a plan's videos for whoever a search is sent as. The search names the plan, not the videos, since
   * web servers and PeerTube write addresses of requests into their logs.
   *
   * @template T
   * @param {Plan} plan
   * @param {(name: string) => Promise<T[]>} search sends it, with this name in the parameter `shoal`
   * @returns {Promise<T[]>} nothing where PeerTube hands every search to a search index
   */
  async searched (plan, search) {
    const name = randomUUID()
    this.#expected.set(name, plan)
    try {
      const found = await search(name)
      return this.#expected.has(name) ? [] : found
    } finally {
      this.#expected.delete(name)
    }
  }

  /** @param {any} params @param {Plan} plan @param {import('./lists.js').List} list */
  #withList (params, plan, { candidates }) {
    const uuids = candidates.map(({ uuid }) => uuid)
    const replaced = { ...params, uuids, count: uuids.length }
    delete replaced.tagsOneOf
    // Known again by the object or, when another plugin copied that, by the list in it.
    this.#plans.set(replaced, plan)
    this.#plans.set(uuids, plan)
    return replaced
  }

  /**
   * `filter:api.search.videos.local.list.result`, and that of recommendations: drop what is not public or not wanted, put
   * the rest in the daemon's order, cut to what was asked for.
   *
   * @param {any} result
   * @param {any} params
   */
  result (result, params) {
    /** @type {Plan | undefined} */
    const plan = this.#plans.get(params) ?? this.#plans.get(params?.uuids)
    if (!plan || !Array.isArray(result?.data)) return result
    if (plan.browser !== undefined) return { ...result, data: withoutUnfit(result.data, plan.unwanted, plan.browser) }
    const { list, unwanted } = plan
    const wanted = result.data.filter((/** @type {any} */ video) => !isUnwanted(video, unwanted))
    if (!list) return { ...result, data: wanted }

    const place = new Map(list.candidates.map(({ uuid }, index) => /** @type {const} */ ([uuid, index])))
    // A list that was not made from the candidates is left as it is.
    const isOurs = wanted.length === 0 || wanted.some((/** @type {any} */ video) => place.has(video.uuid))
    if (!isOurs) return { ...result, data: wanted }
    const data = wanted
      .filter((/** @type {any} */ video) => video.privacy === PUBLIC && place.has(video.uuid))
      .filter((/** @type {any} */ video) => plan.nsfw || video.nsfw === false)
      .filter((/** @type {any} */ video) => withinScope(video, list.current))
      .sort((/** @type {any} */ a, /** @type {any} */ b) => Number(place.get(a.uuid)) - Number(place.get(b.uuid)))
      .slice(0, plan.count)
    return { ...result, data }
  }

  /**
   * Why each video stands in the list beside a video; only of videos that are public now, and only to those who may see
   * such a list. Another server process may have shown the list: where this one has none in memory, it asks for it.
   *
   * @param {string} video
   * @param {import('./guards.js').User | undefined} user who asks, undefined where nobody is logged in
   * @param {import('express').Request} req
   * @returns {Promise<Record<string, Reason>>}
   */
  async reasons (video, user, req) {
    if (!this.settings.values.relatedList || !this.#maySee({ exact: false }, Boolean(user))) return {}
    const { unwanted: _, ...of } = await this.rules(user)
    const wanted = { video, ...of, language: chosenLanguage(user) ?? firstLanguage(req) }
    // Whether this viewer's list has sensitive videos is known only to the page.
    const kept = [true, false].map(nsfw => ({ ...wanted, nsfw })).filter(each => this.lists.has(each))
    const asked = kept.length ? kept : [wanted]
    const found = await Promise.all(asked.map(each => this.lists.get(each)))
    const lists = found.filter(list => list !== null).filter(list => this.#maySee(list, Boolean(user)))
    const reasons = new Map(lists.flatMap(list => list.candidates.map(({ uuid, reason }) => [uuid, reason])))
    if (reasons.size === 0) return {}
    const visible = new Set((await this.sql.publicVideos([video, ...reasons.keys()])).map(row => row.uuid))
    if (!visible.has(video)) return {}
    return Object.fromEntries([...reasons].filter(([uuid]) => visible.has(uuid)))
  }

  /** Drop what is kept about one viewer. @param {number} userId */
  forgetViewer (userId) {
    this.lists.forgetViewer(this.pseudonyms.of(userId))
  }

  clear () {
    this.lists.clear()
    this.#policy = undefined
  }

  /** Let go of every search that still waits. */
  close () {
    this.#closed = true
    for (const give of this.#waiting) give()
    this.clear()
  }

  /**
   * A browser that ranked by itself asks for what it may show of its list. PeerTube's rules hold as in any search; what
   * was excluded, and what the owner of the video on the page does not want beside it, goes as well.
   *
   * @param {any} params
   * @param {import('express').Request | undefined} req
   */
  async #forBrowser (params, req) {
    const page = videoOfPage(req?.headers.referer, this.config.getWebserverUrl())
    /** @type {Plan} */
    const plan = {
      count: params.uuids.length,
      unwanted: { excluded: { channels: new Set(), hosts: new Set(), videos: new Set() }, hidden: null },
      list: null,
      nsfw: false,
      browser: null
    }
    try {
      plan.unwanted.excluded = await this.exclusions.current()
      plan.browser = { current: page ? await this.sql.publicVideo(page) : undefined }
    } catch {
      // PeerTube logs what its database says; a list that cannot be checked is an empty one.
    }
    this.#plans.set(params, plan)
    this.#plans.set(params.uuids, plan)
    return params
  }

  /**
   * The list beside a video, for whoever asks.
   *
   * @param {import('./related-search.js').RelatedSearch} call
   * @param {{ user?: any, nsfw?: boolean }} params
   * @returns {Promise<Plan>}
   */
  async plan ({ video, count, language }, { user, nsfw: wantsNsfw }) {
    const isMember = Boolean(user?.id)
    const { unwanted, nsfw: display, ...of } = await this.rules(user)
    const nsfw = display && wantsNsfw !== false
    const plan = { count, unwanted, nsfw }
    if (!isUuid(video) || !this.#maySee({ exact: false }, isMember)) return { ...plan, list: null }
    const wanted = { video, ...of, nsfw, language: chosenLanguage(user) ?? language }
    const list = await this.#within(COLD_MS, this.lists.get(wanted), () => {
      this.effects.add('late')
      this.lists.late()
    })
    // With fewer than two the page would fill up with its own newest videos.
    return { ...plan, list: list && list.candidates.length > 1 && this.#maySee(list, isMember) ? list : null }
  }

  /**
   * What holds in every list for whoever asks: `viewer` is a pseudonym where lists may follow the viewer, and `since` when
   * they chose last.
   *
   * @param {any} user undefined where nobody is logged in
   * @returns {Promise<{ unwanted: Unwanted, nsfw: boolean, viewer?: string, since?: number,
   *                     discovery?: import('./consent.js').Discovery }>}
   */
  async rules (user) {
    const [excluded, hidden, standing, nsfw] = await Promise.all([
      this.exclusions.current(),
      user?.id ? this.viewers.hidden(user.id) : null,
      user?.id ? this.viewers.standing(user.id) : undefined,
      this.#displaysNsfw()
    ])
    const of = standing?.effective.personal ? { viewer: this.pseudonyms.of(user.id), since: standing.since } : {}
    return { unwanted: { excluded, hidden }, nsfw, ...of, discovery: standing?.discovery ?? undefined }
  }

  /**
   * Whether a list, or why its videos are in it, may be shown. What rests on exact numbers is for members in any case:
   * the daemon sees only minutes later that the setting is off.
   *
   * @param {{ exact: boolean }} list
   * @param {boolean} isMember
   */
  #maySee ({ exact }, isMember) {
    return isMember || !(exact || this.settings.values.membersOnly)
  }

  /**
   * @template T
   * @param {number} ms
   * @param {Promise<T>} work
   * @param {() => void} [late] called when it takes longer
   * @returns {Promise<T | undefined>} undefined: too late, or it failed
   */
  #within (ms, work, late = () => {}) {
    return new Promise(resolve => {
      const give = (/** @type {T | undefined} */ value) => {
        this.clock.clearTimeout(timer)
        this.#waiting.delete(stop)
        resolve(value)
      }
      const stop = () => { give(undefined) }
      const timer = this.clock.setTimeout(() => {
        late()
        stop()
      }, ms)
      this.#waiting.add(stop)
      work.then(give, stop)
    })
  }

  /** As PeerTube said last; after a few minutes it is asked again, for who comes next. */
  #displaysNsfw () {
    const known = this.#policy
    if (known && this.clock.now() - known.at < POLICY_MS) return known.display
    const display = this.config.getServerConfig().then(({ instance }) => instance?.defaultNSFWPolicy === 'display')
    this.#policy = { at: this.clock.now(), display: known?.display ?? display }
    display.then(value => { this.#policy = { at: this.clock.now(), display: Promise.resolve(value) } },
      () => { this.#policy = undefined })
    return this.#policy.display
  }
}

/** The language a user told PeerTube, when it is one. @param {any} user @returns {string | undefined} */
function chosenLanguage (user) {
  const languages = user?.videoLanguages
  const known = Array.isArray(languages) ? languages.filter(language => /^[a-z]{2,3}(-\w{2,8})?$/i.test(language)) : []
  return known.length === 1 ? known[0] : undefined
}

/** @param {any} video @param {Unwanted} unwanted */
function isUnwanted (video, { excluded, hidden }) {
  return excluded.channels.has(video.channelId) || excluded.videos.has(video.url) ||
    (excluded.hosts.size > 0 && excluded.hosts.has(hostOf(video.url))) ||
    hidden?.videos.has(video.id) || hidden?.channels.has(video.channelId) || false
}

/**
 * @param {any[]} videos
 * @param {Unwanted} unwanted
 * @param {NonNullable<Plan['browser']> | null} browser
 */
function withoutUnfit (videos, unwanted, browser) {
  if (!browser) return []
  return videos.filter(video => (
    video.privacy === PUBLIC && video.nsfw === false && !isUnwanted(video, unwanted) &&
    (!browser.current || withinScope(video, browser.current))
  ))
}

/**
 * What the owner of the current video accepts beside it. A list whose channel or account is not known stays out.
 *
 * @param {any} video
 * @param {import('./lists.js').Current} current
 */
function withinScope (video, current) {
  if (current.scope === SCOPE.platform) return hostOf(video.url) === hostOf(current.url)
  if (current.scope === SCOPE.account) return video.VideoChannel?.accountId === current.accountId
  if (current.scope === SCOPE.channel) return video.channelId === current.channelId
  return true
}

module.exports = { Related, COLD_MS }
