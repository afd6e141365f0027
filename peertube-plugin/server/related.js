'use strict'

const { hostOf } = require('./exclusions.js')
const { Lru } = require('./lru.js')
const { isOfBrowser, parseRelatedSearch } = require('./related-search.js')
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
 * @property {string | undefined} video
 * @property {string | undefined} viewer pseudonym, when the list is for one viewer
 * @property {import('./consent.js').Discovery | undefined} discovery what the viewer chose
 * @property {boolean} nsfw
 * @property {{ current: import('./lists.js').Current | undefined } | null} [browser] of a list that a browser made: the
 *   video beside it, if known; null when it cannot be told what is wanted, so that nothing is shown
 */

const DEADLINE_MS = 100
const REASONS_MS = 30 * 60_000
const POLICY_MS = 5 * 60_000
const PUBLIC = 1
const SCOPE = { platform: 2, account: 3, channel: 4 }

/** Fills PeerTube's "Other videos" through the filters around its own search, which decides what is visible. */
class Related {
  /** @type {WeakMap<object, Plan>} */
  #plans = new WeakMap()
  /** @type {Lru<string, { at: number, reasons: Map<string, Reason>, exact: boolean }>} */
  #reasons = new Lru(2000)
  /** @type {Set<() => void>} */
  #waiting = new Set()
  /** @type {{ at: number, display: boolean } | undefined} */
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
   * after 100 ms at the latest, the search goes on as it was.
   *
   * @param {any} params
   * @param {{ req?: import('express').Request }} [context]
   */
  async params (params, context) {
    if (this.#closed) return params
    if (isOfBrowser(params, context?.req)) return this.#forBrowser(params, context?.req)
    if (!this.settings.values.relatedList) return params
    const call = parseRelatedSearch(params, context?.req, this.config.getWebserverUrl())
    if (!call) return params
    // Our own block asks in PeerTube's place: that PeerTube does not ask stays true.
    const add = context?.req?.query.shoal === 'own-block' ? () => {} : this.effects.add.bind(this.effects)
    if (!call.video) add('withoutVideo')
    const plan = await this.#withinDeadline(this.#plan(call, params))
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
    const uuids = plan.list.candidates.map(({ uuid }) => uuid)
    const replaced = { ...params, uuids, count: uuids.length }
    delete replaced.tagsOneOf
    // Known again by the object or, when another plugin copied that, by the list in it.
    this.#plans.set(replaced, plan)
    this.#plans.set(uuids, plan)
    add('filled')
    return replaced
  }

  /**
   * `filter:api.search.videos.local.list.result`: drop what is not public or not wanted, put the rest in the daemon's
   * order, cut to what was asked for.
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
    const data = wanted
      .filter((/** @type {any} */ video) => video.privacy === PUBLIC && place.has(video.uuid))
      .filter((/** @type {any} */ video) => plan.nsfw || video.nsfw === false)
      .filter((/** @type {any} */ video) => withinScope(video, list.current))
      .sort((/** @type {any} */ a, /** @type {any} */ b) => Number(place.get(a.uuid)) - Number(place.get(b.uuid)))
      .slice(0, plan.count)
    const shown = data.map((/** @type {any} */ video) => list.candidates[Number(place.get(video.uuid))])
    this.#remember(plan, shown, list.exact)
    return { ...result, data }
  }

  /**
   * Why each video stood in the list last shown beside a video; only of videos that are public now, and only to those
   * who may see such a list.
   *
   * @param {string} video
   * @param {number | undefined} userId who asks, undefined where nobody is logged in
   * @returns {Promise<Record<string, Reason>>}
   */
  async reasons (video, userId) {
    const isMember = userId !== undefined
    const discovery = isMember ? (await this.viewers.of(userId).standing).discovery ?? undefined : undefined
    const fresh = (/** @type {string | undefined} */ viewer) => {
      const kept = this.#reasons.get(reasonsKey({ video, viewer, discovery }))
      if (kept && !this.#maySee(kept, isMember)) return undefined
      return kept && this.clock.now() - kept.at < REASONS_MS ? kept.reasons : undefined
    }
    const reasons = (isMember && fresh(this.pseudonyms.of(userId))) || fresh(undefined)
    if (!reasons || reasons.size === 0) return {}
    const visible = new Set((await this.sql.publicVideos([video, ...reasons.keys()])).map(row => row.uuid))
    if (!visible.has(video)) return {}
    return Object.fromEntries([...reasons].filter(([uuid]) => visible.has(uuid)))
  }

  /** Drop what is kept about one viewer. @param {number} userId */
  forgetViewer (userId) {
    const viewer = this.pseudonyms.of(userId)
    this.viewers.changed(userId)
    this.lists.forgetViewer(viewer)
    this.#reasons.deleteWhere(key => key.startsWith(`${viewer} `))
  }

  clear () {
    this.lists.clear()
    this.viewers.clear()
    this.exclusions.changed()
    this.#reasons.clear()
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
      video: page,
      viewer: undefined,
      discovery: undefined,
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
   * @param {import('./related-search.js').RelatedSearch} call
   * @param {any} params
   * @returns {Promise<Plan>}
   */
  async #plan (call, params) {
    const user = params.user
    const viewer = user?.id ? this.viewers.of(user.id) : undefined
    const [excluded, hidden, standing, display] = await Promise.all([
      this.exclusions.current(), viewer?.hidden ?? null, viewer?.standing, this.#displaysNsfw()
    ])
    const personal = standing?.effective.personal ? this.pseudonyms.of(user.id) : undefined
    const discovery = standing?.discovery ?? undefined
    const nsfw = display && params.nsfw !== false
    const unwanted = { excluded, hidden }
    const plan = { count: call.count, unwanted, video: call.video, viewer: personal, discovery, nsfw }
    const isMember = Boolean(user?.id)
    if (!isUuid(call.video) || !this.#maySee({ exact: false }, isMember)) return { ...plan, list: null }
    const language = chosenLanguage(user) ?? call.language
    const list = await this.lists.get({ video: call.video, viewer: personal, nsfw, language, discovery })
    // With fewer than two the page would fill up with its own newest videos.
    return { ...plan, list: list && list.candidates.length > 1 && this.#maySee(list, isMember) ? list : null }
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

  /** @template T @param {Promise<T>} work @returns {Promise<T | undefined>} undefined: too late, or it failed */
  #withinDeadline (work) {
    return new Promise(resolve => {
      const give = (/** @type {T | undefined} */ value) => {
        this.clock.clearTimeout(timer)
        this.#waiting.delete(stop)
        resolve(value)
      }
      const stop = () => { give(undefined) }
      const timer = this.clock.setTimeout(() => {
        this.effects.add('late')
        this.lists.late()
        stop()
      }, DEADLINE_MS)
      this.#waiting.add(stop)
      work.then(give, stop)
    })
  }

  async #displaysNsfw () {
    if (!this.#policy || this.clock.now() - this.#policy.at >= POLICY_MS) {
      const { instance } = await this.config.getServerConfig()
      this.#policy = { at: this.clock.now(), display: instance?.defaultNSFWPolicy === 'display' }
    }
    return this.#policy.display
  }

  /** @param {Plan} plan @param {import('./daemon.js').Candidate[]} shown @param {boolean} exact */
  #remember (plan, shown, exact) {
    const key = reasonsKey(plan)
    const kept = this.#reasons.get(key)
    // Two visitors may get different parts of one list, so what was shown lately adds up.
    const adds = kept?.exact === exact && this.clock.now() - kept.at < REASONS_MS && kept.reasons.size <= 70
    const recent = adds ? kept.reasons : []
    const reasons = new Map([...recent, ...shown.map(({ uuid, reason }) => /** @type {const} */ ([uuid, reason]))])
    this.#reasons.set(key, { at: this.clock.now(), reasons, exact })
  }
}

/**
 * With the choice in it: a list made for who chose tells nobody else that somebody did.
 *
 * @param {Pick<Plan, 'video' | 'viewer' | 'discovery'>} plan
 */
function reasonsKey ({ video, viewer = '-', discovery }) {
  return `${viewer} ${video} ${discovery ?? '-'}`
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

module.exports = { Related, DEADLINE_MS }
