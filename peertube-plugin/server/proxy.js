'use strict'

const { Readable, Transform } = require('node:stream')
const { pipeline } = require('node:stream/promises')

const { RouteError } = require('./guards.js')

const MAX_REQUEST = 100 * 1024
const MAX_ANSWER = 256 * 1024 * 1024
/** Messages that the daemon works on at once, and messages that are still arriving. */
const AT_ONCE = 32
const ARRIVING = 256
const BODY_MS = 10_000
const WHOLE_MS = 180_000
const NOT_NOW = 'Not available just now; try again later.'
const SLOW = 'The message did not arrive in time.'
const PASSED = ['content-type', 'content-length', 'retry-after']

/** Carries peers' messages to the daemon's listener: small requests in, large answers out, streamed and bounded. */
class Proxy {
  /** Whose message the daemon has. @type {Set<AbortController>} */
  #running = new Set()
  /** Ends the wait for a body, the longest one first. @type {Set<(error: Error) => void>} */
  #arriving = new Set()
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

  /** @param {import('express').Router} router @param {import('./guards.js').Guards} guards */
  mount (router, guards) {
    router.post('/federation/v1/message', guards.everybody((req, res) => this.forward(req, res)))
  }

  /** End every transfer. */
  close () {
    this.#closed = true
    for (const end of this.#arriving) end(new RouteError(503, NOT_NOW))
    for (const controller of this.#running) controller.abort()
  }

  /** @param {import('express').Request} req @param {import('express').Response} res */
  async forward (req, res) {
    const { federationUrl } = this.settings.values
    if (this.#closed || !federationUrl) throw new RouteError(503, NOT_NOW)
    if (req.is(['json', '+json', 'urlencoded'])) throw new RouteError(415, 'Send the message as it is, not as JSON.')
    // Whoever sends slowly takes no place that a message which is there could have.
    const body = await this.#body(req)
    if (this.#closed) throw new RouteError(503, NOT_NOW)
    if (this.#running.size >= AT_ONCE) {
      res.set('Retry-After', '5')
      throw new RouteError(503, 'Too many messages at once; try again in a few seconds.')
    }
    const controller = new AbortController()
    const stop = () => { controller.abort() }
    this.#running.add(controller)
    const timer = this.clock.setTimeout(stop, WHOLE_MS)
    res.once('close', stop)
    try {
      const answer = await this.fetch(`${federationUrl}/federation/v1/message`, {
        method: 'POST',
        body: new Uint8Array(body),
        headers: {
          'content-type': req.headers['content-type'] ?? 'application/octet-stream',
          'accept-encoding': 'identity'
        },
        redirect: 'error',
        signal: controller.signal
      }).catch(() => {
        throw new RouteError(502, 'The daemon of this instance cannot be reached; try again later.')
      })
      await send(answer, res, controller.signal)
    } catch (error) {
      // The peer left, or the plugin stops: nobody is there to tell.
      if (!controller.signal.aborted || error instanceof RouteError) throw error
      res.destroy()
    } finally {
      this.clock.clearTimeout(timer)
      res.off('close', stop)
      this.#running.delete(controller)
      controller.abort()
    }
  }

  /** @param {import('express').Request} req @returns {Promise<Buffer>} */
  #body (req) {
    if (Number(req.headers['content-length']) > MAX_REQUEST) throw tooLarge()
    if (this.#arriving.size >= ARRIVING) {
      const [slowest] = this.#arriving
      slowest(new RouteError(408, SLOW))
    }
    return new Promise((resolve, reject) => {
      /** @type {Buffer[]} */
      const chunks = []
      let size = 0
      const done = () => {
        this.clock.clearTimeout(timer)
        this.#arriving.delete(fail)
        req.off('data', take).off('end', finish).off('error', gone).off('close', gone)
      }
      const fail = (/** @type {Error} */ error) => {
        done()
        req.resume()
        reject(error)
      }
      const timer = this.clock.setTimeout(() => { fail(new RouteError(408, SLOW)) }, BODY_MS)
      const gone = () => { fail(new RouteError(400, 'The message broke off.')) }
      const take = (/** @type {Buffer} */ chunk) => {
        size += chunk.length
        if (size > MAX_REQUEST) fail(tooLarge())
        else chunks.push(chunk)
      }
      const finish = () => {
        done()
        resolve(Buffer.concat(chunks))
      }
      this.#arriving.add(fail)
      req.on('data', take).on('end', finish).on('error', gone).on('close', gone)
      if (req.destroyed) gone()
    })
  }
}

function tooLarge () {
  return new RouteError(413, `A message has at most ${MAX_REQUEST} bytes.`)
}

/** @param {Response} answer @param {import('express').Response} res @param {AbortSignal} signal */
async function send (answer, res, signal) {
  if (Number(answer.headers.get('content-length')) > MAX_ANSWER) {
    throw new RouteError(502, 'The daemon\'s answer is too large.')
  }
  res.status(answer.status)
  for (const name of PASSED) {
    const value = answer.headers.get(name)
    if (value !== null) res.set(name, value)
  }
  if (!answer.body) {
    res.end()
    return
  }
  let size = 0
  const counted = new Transform({
    transform (chunk, _encoding, done) {
      size += chunk.length
      if (size > MAX_ANSWER) done(new Error('the daemon\'s answer is too large'))
      else done(null, chunk)
    }
  })
  await pipeline(Readable.fromWeb(/** @type {any} */ (answer.body)), counted, res, { signal })
}

module.exports = { Proxy, MAX_REQUEST }
