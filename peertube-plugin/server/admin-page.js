'use strict'

const { createHmac, timingSafeEqual } = require('node:crypto')
const { extname } = require('node:path')

const { failure } = require('./control.js')
const { DaemonError } = require('./daemon.js')
const { RouteError } = require('./guards.js')

const BASE = '/admin/v1/page'
const VERSION = /^[0-9a-f]{32}$/
const NAME = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$/
const MOST_FOLDERS = 4
const TYPES = new Map([
  ['.css', 'text/css; charset=utf-8'],
  ['.js', 'text/javascript; charset=utf-8'],
  ['.json', 'application/json; charset=utf-8'],
  ['.svg', 'image/svg+xml']
])

/**
 * Hands the daemon's page on to administrators. Browsers send no token with the files of a module, so an administrator
 * is told an address with a mark that nobody else can make; it names one version of the page, which never changes.
 */
class AdminPage {
  /**
   * @param {{ daemon: import('./daemon.js').Daemon, log: import('./log.js').Log,
   *           settings: import('./settings.js').Settings }} parts the generated secret makes the marks
   */
  constructor ({ daemon, log, settings }) {
    this.daemon = daemon
    this.log = log
    this.settings = settings
  }

  /** @param {import('express').Router} router @param {import('./guards.js').Guards} guards */
  mount (router, guards) {
    router.get('/admin/v1/page', guards.admin(async (_req, res) => {
      try {
        const version = await this.daemon.pageVersion()
        res.json({ path: `${BASE.slice(1)}/${version}-${this.#mark(version)}` })
      } catch (error) {
        this.log.warn('the daemon did not show its page to an administrator', error)
        const { status, body } = failure(error)
        res.status(status).json(body)
      }
    }))
    router.use(BASE, guards.everybody((req, res) => this.#file(req, res)))
  }

  /** @param {import('express').Request} req @param {import('express').Response} res */
  async #file (req, res) {
    const [, at = '', ...names] = req.path.split('/')
    const type = TYPES.get(extname(req.path))
    const version = this.#opened(at)
    const known = version && type && names.length <= MOST_FOLDERS && names.every(name => NAME.test(name))
    if (!known || req.method !== 'GET') throw gone()
    const content = await this.daemon.pageFile(version, names.join('/')).catch(error => {
      if (error instanceof DaemonError && error.status === 404) throw gone()
      this.log.warn('the daemon did not show its page to an administrator', error)
      throw new RouteError(502, 'The daemon gives no usable answer. Start it, then open the page anew.')
    })
    res.set({ 'Cache-Control': 'private, max-age=31536000, immutable', 'X-Content-Type-Options': 'nosniff' })
    // The daemon's word for its type is not needed, and what is sent to browsers is decided here.
    res.set('Content-Type', type).send(content)
  }

  /** @param {string} at a version with its mark @returns {string | undefined} the version, if the mark is right */
  #opened (at) {
    const [version = '', mark = ''] = at.split('-')
    if (!VERSION.test(version) || !VERSION.test(mark)) return undefined
    return timingSafeEqual(Buffer.from(mark), Buffer.from(this.#mark(version))) ? version : undefined
  }

  /** @param {string} version */
  #mark (version) {
    return createHmac('sha256', this.settings.generated).update(`page ${version}`).digest('hex').slice(0, 32)
  }
}

function gone () {
  return new RouteError(404, 'This is no file of the page, or the daemon was updated: open the page anew.')
}

module.exports = { AdminPage }
