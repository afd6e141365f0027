/**
 * A browser, and a page with PeerTube's anchors, classes and theme variables, for tests of what the plugin shows.
 *
 *   const site = await openSite(t)               // skips the test where there is no browser
 *   const page = await site.page({ width: 360 })
 *   site.routes.set('GET viewer/v1/about', () => ({ ... }))
 */
import express from 'express'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'

/** The shell is Chromium without windows of its own, which cost more than what is shown in them. */
const CHROMIUM = process.env.SHOAL_CHROMIUM ?? ['/usr/bin/chromium-headless-shell', '/usr/bin/chromium'].find(existsSync)
const REQUIRED = process.env.SHOAL_REQUIRE_BROWSER === '1'
const PLUGIN = fileURLToPath(new URL('../../../peertube-plugin/', import.meta.url))
const PAGE = fileURLToPath(new URL('./page/', import.meta.url))
/** The administrators' page, as the daemon has it. */
export const ADMIN_PAGE = fileURLToPath(new URL('../../../daemon/admin_page/', import.meta.url))

/** Options of a test that needs the browser. */
export const needsBrowser = {
  skip: CHROMIUM || REQUIRED ? false : 'no browser; install Chromium or set SHOAL_CHROMIUM',
  timeout: 300_000
}

/** Body and status of an answer that is no plain 200 with JSON. */
export const answer = (status, body = {}) => ({ [STATUS]: status, body })
const STATUS = Symbol('status')
const BEHIND = 'admin/v1/control/'
/** Where the daemon's page is inside PeerTube. */
export const MOUNTED = 'admin/v1/page/version-mark'

/** Start the page's server and a browser; call `close` at the end. */
export async function openSite () {
  const site = new Site()
  await site.start()
  return site
}

/** One for the whole process, closed a moment after the last site that needs it: starting one takes a second. */
class Browser {
  /** @type {Promise<import('playwright-core').Browser> | undefined} */
  static #running
  static #sites = 0

  static open () {
    Browser.#sites++
    Browser.#running ??= chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-gpu'] })
    return Browser.#running
  }

  static release () {
    Browser.#sites--
    setTimeout(async () => {
      if (Browser.#sites) return
      const running = Browser.#running
      Browser.#running = undefined
      await (await running)?.close()
    }, 1000)
  }
}

class Site {
  /** What routes answer: `'METHOD path'` to a function of `{ body, query, headers }`. */
  routes = new Map()
  /** Answers what no route does, also with a response of another server; by default nothing. @type {((request: any) => unknown) | undefined} */
  fallback
  /** What the daemon's admin API answers, on PeerTube's page and on the daemon's. @type {import('../host/control.js').Control | undefined} */
  control
  /** Every request to a route: `{ key, path, method, body, query, headers }`. */
  requests = []
  #contexts = []

  async start () {
    this.package = JSON.parse(readFileSync(join(PLUGIN, 'package.json'), 'utf8'))
    this.base = `/plugins/shoal/${this.package.version}/`
    this.server = this.#app().listen(0, '127.0.0.1')
    await once(this.server, 'listening')
    this.url = `http://127.0.0.1:${this.server.address().port}`
    this.browser = await Browser.open()
  }

  async close () {
    await Promise.all(this.#contexts.map(context => context.close()))
    Browser.release()
    this.server.closeAllConnections()
    this.server.close()
  }

  /** Forget routes and requests of the test before. */
  reset () {
    this.routes.clear()
    this.control = undefined
    this.requests.length = 0
  }

  /** Requests to one route so far. */
  asked (key) {
    return this.requests.filter(request => request.key === key)
  }

  /** A fresh tab on the page; errors in it fail the test that calls `page.problems()`. */
  async page ({ width = 1280, height = 900, dark = false, language = 'en', rtl = false } = {}) {
    const page = await this.#tab({ width, height, dark, language })
    await page.goto(`${this.url}/?language=${language}`)
    await page.waitForFunction(() => 'shell' in window)
    await page.evaluate(({ language, rtl }) => {
      document.documentElement.lang = language
      if (rtl) document.documentElement.dir = 'rtl'
    }, { language, rtl })
    return page
  }

  /** A fresh tab on the page that the daemon itself serves. */
  async alone ({ width = 1280, height = 900, dark = false, language = 'en', fragment = `#token=${TOKEN}`, rtl = false } = {}) {
    const page = await this.#tab({ width, height, dark, language })
    if (rtl) await page.addInitScript(() => { document.documentElement?.setAttribute('dir', 'rtl') })
    await page.goto(`${this.url}/admin/${fragment}`)
    return page
  }

  async #tab ({ width, height, dark, language }) {
    const context = await this.browser.newContext({
      viewport: { width, height }, colorScheme: dark ? 'dark' : 'light', reducedMotion: 'reduce', locale: language
    })
    this.#contexts.push(context)
    const page = await context.newPage()
    page.errors = []
    // Everything the page sends, whoever answers it.
    page.sent = []
    page.on('request', request => page.sent.push({ url: request.url(), headers: request.headers(), body: request.postData() ?? '' }))
    page.on('pageerror', error => page.errors.push(String(error)))
    page.on('console', message => {
      if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) page.errors.push(message.text())
    })
    return page
  }

  #app () {
    const app = express()
    app.use(express.json())
    app.get('/page/plugin.json', (_req, res) => {
      res.json({ base: this.base, name: this.package.name, scripts: this.package.clientScripts })
    })
    app.use('/page', express.static(PAGE))
    app.get('/plugins/global.css', (_req, res) => {
      res.type('css').send(this.package.css.map(path => readFileSync(join(PLUGIN, path), 'utf8')).join('\n'))
    })
    app.get('/plugins/translations/:locale.json', (req, res) => {
      const path = this.package.translations[req.params.locale]
      res.json(path ? { [this.package.name]: JSON.parse(readFileSync(join(PLUGIN, path), 'utf8')) } : {})
    })
    // PeerTube serves the scripts that package.json names, and no other file.
    app.get(`${this.base}client-scripts/*`, (req, res) => {
      const script = this.package.clientScripts.find(entry => entry.script === req.params[0])
      if (script) res.sendFile(join(PLUGIN, script.script))
      else res.status(404).end()
    })
    // What the plugin hands on of the daemon: with-server.test.js has the plugin itself do it.
    app.use(`${this.base}router/${MOUNTED}`, express.static(ADMIN_PAGE))
    app.use(`${this.base}router/`, (req, res) => this.#answer(req, res))
    // The daemon's own side, with the headers that it sends.
    app.use('/v1/admin/', (req, res) => (
      req.headers['x-shoal-admin'] === TOKEN
        ? this.#answer(req, res, 'daemon ')
        : res.status(403).json({ code: 'admin-refused', message: 'the token is wrong', advice: 'Ask for it.' })))
    app.use('/admin', (_req, res, next) => {
      res.set({ 'Content-Security-Policy': POLICY, 'X-Content-Type-Options': 'nosniff' })
      next()
    })
    app.use('/admin', express.static(ADMIN_PAGE))
    app.use('/api/v1/', (req, res) => this.#answer(req, res, 'api '))
    // A picture for each video, in a colour of its own.
    app.get('/lazy-static/thumbnails/:name', (req, res) => {
      const hue = parseInt(req.params.name.slice(0, 6), 16) % 360
      res.type('svg').send(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 9"><path fill="hsl(${hue} 40% 50%)" d="M0 0h16v9H0z"/></svg>`)
    })
    app.get('*', (_req, res) => res.sendFile(join(PAGE, 'index.html')))
    return app
  }

  /** What answers a request to the daemon's admin API, if this is one. */
  #control (prefix, { method, key, body, query }) {
    const path = key.slice(`${prefix}${method} `.length)
    const asked = prefix === 'daemon ' ? path : path.startsWith(BEHIND) ? path.slice(BEHIND.length) : null
    if (!this.control || asked === null) return undefined
    return () => {
      const { status, body: found } = this.control.answer({ method, path: asked, query, body })
      return status === 200 ? found : answer(status, found)
    }
  }

  async #answer (req, res, prefix = '') {
    const key = `${prefix}${req.method} ${req.path.slice(1)}`
    const { method, body, query, headers } = req
    const request = { key, path: req.url.slice(1), method, body, query, headers }
    this.requests.push(request)
    const found = await (this.routes.get(key) ?? this.#control(prefix, request) ?? this.fallback)?.(request)
    if (found === undefined) return res.status(404).json({ error: 'not found' })
    if (found === DROPPED) return req.socket.destroy()
    if (found instanceof Response) {
      for (const name of ['content-type', 'cache-control']) res.set(name, found.headers.get(name) ?? '')
      return res.status(found.status).send(Buffer.from(await found.arrayBuffer()))
    }
    if (found && STATUS in found) return res.status(found[STATUS]).send(found.body)
    res.json(found)
  }
}

/** What opens the page that the daemon serves. */
export const TOKEN = 'abcdefghijklmnopqrstuvwxyz-0123456789_ABCDE'

/** The daemon's policy for its page: nothing inline, nothing from elsewhere. */
const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/** An answer that never comes: the connection breaks. */
export const DROPPED = Symbol('dropped')
