'use strict'

const { isUuid } = require('./uuid.js')

/**
 * @typedef {{ kind: string, text: string, users: number | null, tags: string[], words: string[],
 *             share: number | null }} Reason `share`: of what speaks for the video, the part that it explains, in [0, 1]
 * @typedef {{ uuid: string, reason: Reason }} Candidate
 * @typedef {{ model: string | undefined, candidates: Candidate[], exact: boolean }} Answer `model`: that made it; `exact`:
 *   made from exact numbers of viewers, so that only members may see it
 */

const MAX_ANSWER = 256 * 1024
const MAX_KNOWN = 8 * 1024 * 1024
const MAX_CANDIDATES = 100
const MAX_VECTORS = 500_000
const MAX_ADMIN = 2 * 1024 * 1024
const PAGE_VERSION = /^[0-9a-f]{32}$/
// Which kinds there are, and their words, is known to client/lib/reasons.js alone.
const KIND = /^[a-z][a-z-]{0,29}$/
/** No connection came about. */
const UNREACHABLE = new Set(['ECONNREFUSED', 'ECONNRESET', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND', 'ETIMEDOUT',
  'UND_ERR_CONNECT_TIMEOUT'])

/** The daemon gave no usable answer; `status` is its HTTP status, 0 without one. */
class DaemonError extends Error {
  /** @param {string} code @param {number} [status] */
  constructor (code, status = 0) {
    super(code)
    this.name = 'DaemonError'
    this.code = code
    this.status = status
  }
}

/** The daemon's local API. Every call has a time limit and a size limit, and none survives `close`. */
class Daemon {
  /** @type {Set<AbortController>} */
  #running = new Set()
  #closed = false

  /**
   * @param {{ settings: import('./settings.js').Settings, clock: import('./clock.js').Clock,
   *           fetch?: typeof globalThis.fetch }} parts
   */
  constructor ({ settings, clock, fetch = globalThis.fetch }) {
    this.settings = settings
    this.clock = clock
    this.fetch = fetch
  }

  /**
   * Candidates for the list beside a video, best first, without duplicates and without the video itself.
   *
   * @param {import('./lists.js').Wanted & { limit: number }} wanted
   * @returns {Promise<Answer | null>} null: its model does not know the video
   */
  async related ({ video, viewer, nsfw, limit, language, discovery }) {
    const query = new URLSearchParams({ video, limit: String(limit), nsfw: nsfw ? '1' : '0' })
    if (viewer) query.set('viewer', viewer)
    if (language) query.set('language', language)
    if (discovery) query.set('discovery', discovery)
    const { ok, status, content } = await this.#exchange(`/v1/related?${query}`, { timeout: 2000, most: MAX_ANSWER })
    if (status === 404) return null
    if (!ok) throw new DaemonError('REFUSED', status)
    const answer = content.length ? JSON.parse(content.toString('utf8')) : undefined
    if (!Array.isArray(answer?.videos)) throw new DaemonError('UNEXPECTED_ANSWER')
    const model = typeof answer.model === 'string' ? answer.model : undefined
    return { model, candidates: candidates(answer.videos, video), exact: answer.exact === true }
  }

  /**
   * Videos for one viewer, best first, and how many of the viewer's own the daemon knows.
   *
   * @param {{ viewer: string, nsfw: boolean, limit: number, discovery?: import('./consent.js').Discovery }} wanted
   * @returns {Promise<{ candidates: Candidate[], known: number }>}
   */
  async recommendations (wanted) {
    const answer = await this.#json('/v1/recommendations', { timeout: 5000, most: MAX_ANSWER, body: wanted })
    if (!Array.isArray(answer?.videos) || !Number.isInteger(answer.history)) throw new DaemonError('UNEXPECTED_ANSWER')
    return { candidates: candidates(answer.videos), known: answer.history }
  }

  /** What the daemon says of itself: of viewers and peers only if it has the same secret. @returns {Promise<any>} */
  async status () {
    const answer = await this.#json('/v1/status', { timeout: 1500, most: MAX_ANSWER })
    if (typeof answer !== 'object' || answer === null) throw new DaemonError('UNEXPECTED_ANSWER')
    return answer
  }

  /** The model that it answers from, empty while it has none. @returns {Promise<string>} */
  async model () {
    const { status, content } = await this.#exchange('/health/ready', { timeout: 1000, most: MAX_ANSWER })
    if (status === 503) return ''
    const model = status === 200 && JSON.parse(content.toString('utf8'))?.model
    if (typeof model !== 'string') throw new DaemonError('UNEXPECTED_ANSWER', status)
    return model
  }

  /** Everything the daemon holds about a viewer. @param {string} viewer @returns {Promise<any[]>} */
  async known (viewer) {
    const answer = await this.#json('/v1/viewers/known', { timeout: 5000, most: MAX_KNOWN, body: { viewer } })
    if (!Array.isArray(answer?.videos)) throw new DaemonError('UNEXPECTED_ANSWER')
    return answer.videos
  }

  /** Have a viewer forgotten; returns when nothing is left. @param {string} viewer */
  async forget (viewer) {
    await this.#json('/v1/viewers/forget', { timeout: 30000, most: MAX_ANSWER, body: { viewer } })
  }

  /** The card of the daemon's listener for peers. @returns {Promise<any>} */
  async card () {
    const { federationUrl } = this.settings.values
    const answer = await this.#json('/federation/v1/card', { timeout: 3000, most: 64 * 1024, base: federationUrl })
    if (typeof answer !== 'object' || answer === null) throw new DaemonError('UNEXPECTED_ANSWER')
    return answer
  }

  /** The file of vectors that browsers rank from, as it is. @returns {Promise<Buffer>} */
  vectors () {
    return this.#call('/v1/vectors', { timeout: 5000, most: MAX_VECTORS })
  }

  /**
   * A question or an order of an administrator, with the daemon's answer as it is, errors included.
   *
   * @param {string} path below `/v1/admin/`, with its query
   * @param {{ timeout: number, body?: unknown }} options with a body it is a POST
   * @returns {Promise<{ status: number, body: any }>}
   */
  async admin (path, { timeout, body }) {
    const { status, content } = await this.#exchange(`/v1/admin/${path}`, { timeout, most: MAX_ADMIN, body })
    return { status, body: JSON.parse(content.toString('utf8')) }
  }

  /** Which version of the administrators' page it has. @returns {Promise<string>} 32 hexadecimal digits */
  async pageVersion () {
    const answer = await this.#json('/admin/page.json', { timeout: 3000, most: MAX_ANSWER })
    if (typeof answer?.version !== 'string' || !PAGE_VERSION.test(answer.version)) throw new DaemonError('UNEXPECTED_ANSWER')
    return answer.version
  }

  /**
   * A file of the administrators' page.
   *
   * @param {string} version the only one that it is given of
   * @param {string} name its path within the page
   * @returns {Promise<Buffer>}
   */
  pageFile (version, name) {
    return this.#call(`/admin/${version}/${name}`, { timeout: 5000, most: MAX_ANSWER })
  }

  /** End every call; later ones fail at once. */
  close () {
    this.#closed = true
    for (const controller of this.#running) controller.abort()
  }

  /**
   * @param {string} path
   * @param {{ timeout: number, most: number, body?: unknown, base?: string | null }} options
   * @returns {Promise<any>} undefined for an empty answer
   */
  async #json (path, options) {
    const text = (await this.#call(path, options)).toString('utf8')
    return text === '' ? undefined : JSON.parse(text)
  }

  /**
   * @param {string} path
   * @param {{ timeout: number, most: number, body?: unknown, base?: string | null }} options
   * @returns {Promise<Buffer>}
   */
  async #call (path, options) {
    const { ok, status, content } = await this.#exchange(path, options)
    if (!ok) throw new DaemonError('REFUSED', status)
    return content
  }

  /**
   * @param {string} path
   * @param {{ timeout: number, most: number, body?: unknown, base?: string | null }} options
   * @returns {Promise<{ ok: boolean, status: number, content: Buffer }>}
   */
  async #exchange (path, { timeout, most, body, base = this.settings.values.daemonUrl }) {
    if (!base) throw new DaemonError('NO_ADDRESS')
    if (this.#closed) throw new DaemonError('CLOSED')
    const controller = new AbortController()
    this.#running.add(controller)
    const timer = this.clock.setTimeout(() => { controller.abort() }, timeout)
    try {
      const response = await this.fetch(base + path, {
        method: body === undefined ? 'GET' : 'POST',
        body: body === undefined ? undefined : JSON.stringify(body),
        headers: {
          accept: 'application/json, application/octet-stream',
          ...(base === this.settings.values.daemonUrl ? { 'x-shoal-secret': this.settings.values.secret } : {}),
          ...(body === undefined ? {} : { 'content-type': 'application/json' })
        },
        redirect: 'error',
        signal: controller.signal
      })
      return { ok: response.ok, status: response.status, content: await readAll(response, most) }
    } catch (error) {
      if (controller.signal.aborted) throw new DaemonError(this.#closed ? 'CLOSED' : 'TIMEOUT')
      if (UNREACHABLE.has(/** @type {any} */ (error)?.cause?.code)) throw new DaemonError('UNREACHABLE')
      throw error
    } finally {
      this.clock.clearTimeout(timer)
      this.#running.delete(controller)
      // Whatever was not read: without this a refused body would keep its connection.
      controller.abort()
    }
  }
}

/**
 * The body, never more than `most` bytes of it.
 *
 * @param {Response} response
 * @param {number} most
 */
async function readAll (response, most) {
  if (Number(response.headers.get('content-length')) > most) throw new DaemonError('TOO_LARGE')
  if (!response.body) return Buffer.alloc(0)
  const reader = response.body.getReader()
  const chunks = []
  let size = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return Buffer.concat(chunks)
    size += value.byteLength
    if (size > most) throw new DaemonError('TOO_LARGE')
    chunks.push(value)
  }
}

/** @param {any[]} videos @param {string} [current] left out @returns {Candidate[]} */
function candidates (videos, current) {
  /** @type {Map<string, Candidate>} */
  const found = new Map()
  for (const video of videos) {
    const uuid = typeof video?.uuid === 'string' ? video.uuid.toLowerCase() : undefined
    if (!isUuid(uuid) || uuid === current || found.has(uuid)) continue
    found.set(uuid, { uuid, reason: reason(video.reason) })
    if (found.size === MAX_CANDIDATES) break
  }
  return [...found.values()]
}

/** @param {any} given @returns {Reason} */
function reason (given) {
  const { kind, text, users, tags, words, share } = given ?? {}
  return {
    kind: typeof kind === 'string' && KIND.test(kind) ? kind : '',
    text: short(text, 200),
    users: Number.isSafeInteger(users) && users > 0 ? users : null,
    tags: named(tags),
    words: named(words),
    share: typeof share === 'number' ? Math.min(1, Math.max(0, share)) : null
  }
}

/** @param {unknown} given @returns {string[]} */
function named (given) {
  return Array.isArray(given) ? given.slice(0, 3).map(name => short(name, 60)).filter(Boolean) : []
}

/** @param {unknown} text @param {number} most */
function short (text, most) {
  return typeof text === 'string' ? text.replace(/\p{Cc}+/gu, ' ').trim().slice(0, most) : ''
}

module.exports = { Daemon, DaemonError }
