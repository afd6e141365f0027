'use strict'

const { DISCOVERY } = require('./consent.js')
const { RouteError } = require('./guards.js')
const { isUuid, toUuid } = require('./uuid.js')

/** @typedef {import('./guards.js').User} User */

/** A viewer's own routes: their choices, what is known about them, what they hid, and an owner's channels. */
class ViewerRoutes {
  /**
   * @param {{ settings: import('./settings.js').Settings, sql: import('./sql.js').Queries,
   *           consent: import('./consent.js').Consent, viewers: import('./viewers.js').Viewers,
   *           related: import('./related.js').Related, exclusions: import('./exclusions.js').Exclusions,
   *           pseudonyms: import('./pseudonym.js').Pseudonyms, daemon: import('./daemon.js').Daemon,
   *           clock: import('./clock.js').Clock, log: import('./log.js').Log, isErased: () => boolean }} parts
   */
  constructor (parts) {
    this.parts = parts
  }

  /** @param {import('express').Router} router @param {import('./guards.js').Guards} guards */
  mount (router, guards) {
    const { isErased } = this.parts
    /** @type {(handler: (req: import('express').Request, res: import('express').Response, user: User) => unknown) => any} */
    const viewer = handler => guards.viewer((req, res, user) => {
      if (isErased()) throw new RouteError(410, 'Everything was erased; the plugin is about to be uninstalled.')
      return handler(req, res, user)
    })
    router.get('/viewer/v1/choice', viewer(async (_req, res, user) => { res.json(await this.choice(user)) }))
    router.put('/viewer/v1/choice', viewer(async (req, res, user) => { res.json(await this.choose(user, req.body)) }))
    router.get('/viewer/v1/invitation', viewer(async (_req, res, user) => { res.json(await this.invitation(user)) }))
    router.delete('/viewer/v1/invitation', viewer(async (_req, res, user) => {
      await this.parts.consent.dismissInvitation(user.id, this.parts.clock.today())
      res.status(204).end()
    }))
    router.get('/viewer/v1/discovery', viewer(async (_req, res, user) => { res.json(await this.discovery(user)) }))
    router.put('/viewer/v1/discovery', viewer(async (req, res, user) => {
      res.json(await this.setDiscovery(user, req.body))
    }))
    router.get('/viewer/v1/known', viewer(async (_req, res, user) => { res.json(await this.known(user)) }))
    router.post('/viewer/v1/withdraw', viewer(async (_req, res, user) => {
      await this.withdraw(user)
      res.status(204).end()
    }))
    router.get('/viewer/v1/hidden', viewer(async (_req, res, user) => { res.json(await this.hidden(user)) }))
    router.post('/viewer/v1/hidden', viewer(async (req, res, user) => {
      await this.hide(user, req.body)
      res.status(204).end()
    }))
    router.delete('/viewer/v1/hidden', viewer(async (req, res, user) => {
      await this.show(user, req.body)
      res.status(204).end()
    }))
    router.get('/viewer/v1/about', viewer(async (_req, res) => { res.json(await this.about()) }))
    router.get('/owner/v1/channels', viewer(async (_req, res, user) => { res.json(await this.channels(user)) }))
    router.put('/owner/v1/channels', viewer(async (req, res, user) => {
      res.json(await this.exclude(user, req.body))
    }))
    router.get('/why/v1/reasons', guards.everybody(async (req, res) => {
      const video = typeof req.query.video === 'string' ? toUuid(req.query.video) : undefined
      if (!video) throw new RouteError(400, 'video is the uuid of the video whose list it is.')
      const user = isErased() ? undefined : await guards.maybe(res)
      res.json({ reasons: isErased() ? {} : await this.parts.related.reasons(video, user, req) })
    }))
  }

  /** @param {User} user */
  async choice (user) {
    const { history, chosen, choice, effective } = await this.parts.viewers.standing(user.id)
    return { ...choice, chosen, history, consent: this.parts.settings.values.consent, effective }
  }

  /** @param {User} user @param {any} body */
  async choose (user, body) {
    const { training, personal } = body ?? {}
    const usable = [training, personal].every(value => value === undefined || typeof value === 'boolean')
    if (!usable || (training === undefined && personal === undefined)) {
      throw new RouteError(400, 'Give training, personal or both, each true or false.')
    }
    await this.parts.consent.choose(user.id, { training, personal })
    this.parts.related.forgetViewer(user.id)
    return this.choice(user)
  }

  /** Whether to ask a viewer to take part. @param {User} user @returns {Promise<{ asks: boolean }>} */
  async invitation (user) {
    const { settings, viewers, sql, clock } = this.parts
    if (!settings.values.invitation || settings.values.consent !== 'opt-in') return { asks: false }
    const { chosen, history } = await viewers.standing(user.id)
    // Without history a yes would come to nothing.
    return { asks: history && !chosen && !await sql.dismissedInvitation(user.id, clock.today()) }
  }

  /** @param {User} user */
  async discovery (user) {
    const { discovery } = await this.parts.viewers.standing(user.id)
    return { discovery }
  }

  /** @param {User} user @param {any} body */
  async setDiscovery (user, body) {
    const discovery = body?.discovery
    if (discovery !== null && !DISCOVERY.includes(discovery)) {
      throw new RouteError(400, `Give discovery as ${DISCOVERY.join(', ')}, or null for what the site sets.`)
    }
    await this.parts.consent.setDiscovery(user.id, discovery)
    this.parts.related.forgetViewer(user.id)
    return this.discovery(user)
  }

  /** @param {User} user */
  async known (user) {
    const known = await this.#daemonSays(daemon => daemon.known(this.parts.pseudonyms.of(user.id)))
    const uuids = known.map(({ uuid }) => uuid).filter(isUuid)
    const visible = new Map((await this.parts.sql.publicVideos(uuids)).map(row => [row.uuid, row]))
    const videos = known.filter(({ uuid }) => visible.has(uuid)).map(({ uuid, liked, disliked, watched, at }) => ({
      uuid,
      url: visible.get(uuid).url,
      title: visible.get(uuid).name,
      liked: liked === true,
      disliked: disliked === true,
      watched: typeof watched === 'number' ? watched : 0,
      at: typeof at === 'number' ? at : null
    }))
    return { videos }
  }

  /** No part any more, and nothing left at the daemon when this returns. @param {User} user */
  async withdraw (user) {
    await this.parts.consent.choose(user.id, { training: false, personal: false })
    await this.parts.consent.setDiscovery(user.id, null)
    this.parts.related.forgetViewer(user.id)
    await this.#daemonSays(daemon => daemon.forget(this.parts.pseudonyms.of(user.id)),
      'You no longer take part. The daemon cannot be reached; it erases what it holds at its next check.')
  }

  /** @param {User} user */
  async hidden (user) {
    const { sql } = this.parts
    const [videos, channels] = await Promise.all([sql.hiddenVideos(user.id), sql.hiddenChannels(user.id)])
    return { videos, channels }
  }

  /** @param {User} user @param {any} body */
  async hide (user, body) {
    const target = await this.#target(body)
    if (target.id !== undefined || Object.values(target).every(id => id === undefined)) {
      throw new RouteError(404, 'There is no such public video or channel here.')
    }
    await this.parts.consent.hide(user.id, target)
  }

  /** @param {User} user @param {any} body */
  async show (user, body) {
    await this.parts.consent.show(user.id, await this.#target(body))
  }

  /**
   * Not how many take part, nor whether they are enough: whoever has a few accounts could find out from it whether
   * anybody else does.
   */
  async about () {
    const status = await this.parts.daemon.status().catch(() => undefined)
    const peers = Array.isArray(status?.peers) ? status.peers : null
    return {
      consent: this.parts.settings.values.consent,
      exact: typeof status?.source?.exact_own === 'boolean' ? status.source.exact_own : null,
      // A daemon with another secret says its mode, but not who its peers are.
      mode: peers && typeof status.mode === 'string' ? status.mode : null,
      peers: (peers ?? []).filter((/** @type {unknown} */ host) => typeof host === 'string'),
      next: typeof status?.next?.sync === 'number' ? status.next.sync : null,
      daemon: status !== undefined
    }
  }

  /** @param {User} user */
  async channels (user) {
    const rows = await this.parts.sql.ownChannels(user.id)
    return { channels: rows.map(({ url, name, excluded }) => ({ url, name, excluded })) }
  }

  /** @param {User} user @param {any} body */
  async exclude (user, body) {
    const wanted = Object.entries(body ?? {})
    if (wanted.length === 0 || wanted.some(([, excluded]) => typeof excluded !== 'boolean')) {
      throw new RouteError(400, 'Give the address of each channel with true (leave out of suggestions) or false.')
    }
    const own = new Map((await this.parts.sql.ownChannels(user.id)).map(({ url, id }) => [url, id]))
    if (wanted.some(([url]) => !own.has(url))) throw new RouteError(403, 'These are not all your channels.')
    for (const [url, excluded] of wanted) {
      await this.parts.consent.excludeChannel(own.get(url), Boolean(excluded))
    }
    return this.channels(user)
  }

  /** @param {any} body @returns {Promise<{ id?: number, videoId?: number, channelId?: number }>} */
  async #target (body) {
    const { kind, id } = body ?? {}
    if (kind !== 'video' && kind !== 'channel') throw new RouteError(400, 'kind is either video or channel.')
    if (Number.isInteger(id) && id > 0 && id <= 0x7fffffff) return { id }
    if (typeof id !== 'string' || id.length > 2000) throw new RouteError(400, 'id is a uuid or an address.')
    if (kind === 'video') return { videoId: await this.parts.sql.videoId(toUuid(id) ?? null, id) }
    return { channelId: await this.parts.sql.channelId(id) }
  }

  /**
   * @template T
   * @param {(daemon: import('./daemon.js').Daemon) => Promise<T>} ask
   * @param {string} [otherwise]
   */
  async #daemonSays (ask, otherwise = 'The daemon cannot be reached just now; try again later.') {
    try {
      return await ask(this.parts.daemon)
    } catch (error) {
      this.parts.log.warn('the daemon did not answer a viewer\'s question', error)
      throw new RouteError(502, otherwise)
    }
  }
}

module.exports = { ViewerRoutes }
