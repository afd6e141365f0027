/**
 * What a request needs to know, as PeerTube's helpers tell it.
 *
 * @typedef {object} Helpers
 * @property {() => Record<string, string> | undefined} getAuthHeader headers that say who asks
 * @property {() => string} getBaseRouterRoute address that the routes are below, without a slash at its end
 */

/** What went wrong, as far as what to do about it differs. */
export const SENTENCES = {
  unreachable: 'The instance did not answer. Check your connection, then try again.',
  session: 'Your session has ended. Log in again, then come back to this page.',
  forbidden: 'You are not allowed to do this. If you should be, log in again.',
  missing: 'This was not found. The plugin may just have been updated or removed: reload the page.',
  erased: 'Everything was erased here; the plugin is about to be uninstalled.',
  busy: 'Too many requests at once. Wait a minute, then try again.',
  refused: 'This was refused: {reason}',
  told: 'The daemon says: {reason}',
  daemonAway: 'The daemon of this instance does not answer. Start it, then try again.',
  daemonSlow: 'The daemon takes too long to answer. It may still be working: look again in a minute.',
  unavailable: 'Suggestions are not available right now and this could not be done. Try again later. ' +
    'If it keeps failing, tell the administrators of this instance.',
  nonsense: 'The instance gave an answer that this page does not understand. Reload the page, then try again.'
}

/** @typedef {keyof typeof SENTENCES} Problem */

/** What has sentences of its own; other codes are said in the daemon's words. */
const CODES = new Map(/** @type {const} */ ([['daemon-away', 'daemonAway'], ['daemon-slow', 'daemonSlow']]))

const DEADLINE_MS = 20_000
const MAX_REASON = 600

/** A request that failed, with the name of the sentence that says what to do. */
export class RequestError extends Error {
  /**
   * @param {Problem} problem which sentence applies
   * @param {string} [reason] what the server said, shown as text
   * @param {number} [status] of the answer, if there was one
   */
  constructor (problem, reason = '', status = 0) {
    super(`${problem} ${reason}`)
    this.problem = problem
    this.reason = reason
    this.status = status
  }
}

/**
 * The list that an answer must hold.
 *
 * @template T
 * @param {any} answer of a request
 * @param {string} name of the list in it
 * @returns {T[]} the list
 * @throws {RequestError} when there is none
 */
export function listIn (answer, name) {
  const list = answer?.[name]
  if (!Array.isArray(list)) throw new RequestError('nonsense')
  return list
}

/** Requests to routes and to PeerTube, with the viewer's token when there is one. */
export class Api {
  /** @param {Helpers} helpers PeerTube's, or what stands for them */
  constructor (helpers) {
    this.helpers = helpers
  }

  /**
   * Ask one of the plugin's own routes.
   *
   * @param {'GET' | 'PUT' | 'POST' | 'DELETE'} method of the request
   * @param {string} path below the plugin's router, without a leading slash
   * @param {unknown} [body] sent as JSON
   * @param {number} [deadline] milliseconds to wait
   * @returns {Promise<any>} the parsed answer, `null` where there is none
   * @throws {RequestError} when it failed
   */
  plugin (method, path, body, deadline) {
    return this.request(method, `${this.helpers.getBaseRouterRoute()}/${path}`, body, deadline)
  }

  /**
   * Ask PeerTube's own REST API.
   *
   * @param {'GET' | 'PUT'} method of the request
   * @param {string} path below `/api/v1/`
   * @param {unknown} [body] sent as JSON
   * @returns {Promise<any>} the parsed answer, `null` where there is none
   * @throws {RequestError} when it failed
   */
  peertube (method, path, body) {
    return this.request(method, `/api/v1/${path}`, body)
  }

  /**
   * @param {string} method of the request
   * @param {string} address of the request
   * @param {unknown} [body] sent as JSON
   * @param {number} [deadline] milliseconds to wait
   * @returns {Promise<any>} the parsed answer, `null` where there is none
   * @throws {RequestError} when it failed
   */
  async request (method, address, body, deadline = DEADLINE_MS) {
    /** @type {Record<string, string>} */
    const headers = { ...this.helpers.getAuthHeader(), Accept: 'application/json' }
    if (body !== undefined) headers['Content-Type'] = 'application/json'

    /** @type {Response} */
    let response
    let text
    try {
      response = await fetch(address, {
        method,
        headers,
        body: body === undefined ? undefined : JSON.stringify(body),
        signal: AbortSignal.timeout(deadline)
      })
      text = await response.text()
    } catch {
      throw new RequestError('unreachable')
    }

    const answer = parsed(text)
    if (!response.ok) throw failure(response.status, answer)
    if (answer === undefined) throw new RequestError('nonsense')
    return answer
  }
}

/**
 * Say a failure in the viewer's language.
 *
 * @param {unknown} error what was thrown
 * @param {import('./texts.js').Say<Problem>} say sentences of this module
 * @returns {string} what happened and what to do
 */
export function problemText (error, say) {
  if (!(error instanceof RequestError)) {
    console.error('Shoal:', error)
    return say('nonsense')
  }
  return say(error.problem, { reason: error.reason })
}

/**
 * @param {string} text body of an answer
 * @returns {any} its JSON, `null` for an empty body, `undefined` for what is not JSON
 */
function parsed (text) {
  if (text.trim() === '') return null
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/**
 * @param {number} status of the answer
 * @param {any} answer its JSON
 * @returns {RequestError} the matching failure
 */
function failure (status, answer) {
  if (typeof answer?.code === 'string' && isText(answer.message)) {
    const said = [answer.message, answer.advice].filter(isText).map(text => text.replace(/\.$/, '')).join('. ')
    return new RequestError(CODES.get(answer.code) ?? 'told', `${said}.`.slice(0, MAX_REASON), status)
  }
  if (status === 401) return new RequestError('session')
  if (status === 403) return new RequestError('forbidden')
  if (status === 404) return new RequestError('missing')
  if (status === 410) return new RequestError('erased')
  if (status === 429) return new RequestError('busy')

  const reason = [answer?.error?.message, answer?.error, answer?.detail, answer?.message]
    .find(isText)
  if (status < 500 && reason) return new RequestError('refused', reason.slice(0, 300))
  return new RequestError('unavailable', '', status)
}

/** @param {unknown} text */
function isText (text) {
  return typeof text === 'string' && text !== ''
}
