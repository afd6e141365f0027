/**
 * A host that loads the plugin the way PeerTube does: register options, hooks, router, settings, storage, static
 * files, authentication and the video search route, over real HTTP on loopback, with a real PostgreSQL.
 *
 *   const host = await createHost({ major: 8 })
 *   await host.load()                                  // register, as at PeerTube's start
 *   const response = await host.fetch('/plugins/shoal/router/viewer/v1/choice', { user })
 *   await host.close()                                 // unregister, close everything
 *
 * For browser tests: `host.url`, `host.app` (express, to serve a page of one's own), `host.publicSettings()`,
 * `host.clientScripts`, and the routes under /plugins/ and /api/v1/ work as PeerTube's do.
 */
import express from 'express'
import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { Database } from './database.js'
import { schema } from './schema.js'
import { Video, searchSql } from './search.js'

export const PLUGIN = fileURLToPath(new URL('../../../peertube-plugin/', import.meta.url))
const VERSIONS = { 7: '7.2.1', 8: '8.2.3', 9: '9.0.0-rc.1' }
/** Filters that PeerTube 7 and 8 have, of those the plugin knows. */
const FILTERS = ['filter:api.search.videos.local.list.params', 'filter:api.search.videos.local.list.result']
const CATEGORIES = { 1: 'Music', 2: 'Films', 11: 'News & Politics', 13: 'Education', 15: 'Science & Technology' }

/**
 * @param {{ major?: 7 | 8 | 9, plugin?: string, saved?: Record<string, unknown>, database?: Database, beside?: Host,
 *           shared?: boolean, replica?: Database, filters?: string[], queryDelay?: () => Promise<void> }} [options] `saved`: settings
 *   as an admin saved them before; `database`: one that has the schema already; `beside`: another server process of the
 *   same instance, with its database; `shared`: the process's database, emptied first, for hosts that follow one another;
 *   `replica`: where SELECTs go that do not ask for the primary; `filters`: that this PeerTube has
 */
export async function createHost (options = {}) {
  const host = new Host(options)
  await host.start()
  return host
}

class Host {
  hooks = new Map()
  /** What an admin saved; null when nothing was ever saved, which is when declared defaults apply. */
  saved
  declared = []
  logs = []
  users = new Map()
  registered = false
  nsfwPolicy = 'do_not_list'
  signup = { allowed: true, requiresApproval: false }
  logins = { registered: [], registeredExternalAuths: [], registeredIdAndPassAuths: [] }
  #library
  router
  #settingCallbacks = []

  constructor ({
    major = 8, plugin = PLUGIN, saved = null, beside, database = beside?.database, shared = false, replica,
    filters = FILTERS, queryDelay
  } = {}) {
    this.major = beside?.major ?? major
    this.plugin = plugin
    this.saved = beside?.saved ?? saved
    this.filters = filters
    this.queryDelay = queryDelay
    this.database = database
    this.replica = replica
    this.beside = beside
    this.users = beside?.users ?? this.users
    this.ownsDatabase = !database
    this.sharesDatabase = shared
    this.package = JSON.parse(readFileSync(join(plugin, 'package.json'), 'utf8'))
    this.name = this.package.name.replace('peertube-plugin-', '')
    this.directory = mkdtempSync(join(tmpdir(), 'plugin-host-'))
  }

  async start () {
    if (this.ownsDatabase) {
      this.database = this.sharesDatabase ? await Database.shared() : await Database.open()
      await this.database.rows(schema(this.major))
    }
    if (!this.beside) {
      await this.database.rows('INSERT INTO plugin (name, type, settings) VALUES ($1, 1, $2) ON CONFLICT DO NOTHING',
        [this.name, this.saved])
    }
    this.app = express()
    this.app.disable('x-powered-by')
    this.#routes()
    this.server = this.app.listen(0, '127.0.0.1')
    await once(this.server, 'listening')
    this.port = this.server.address().port
    // All server processes of an instance answer under its one address.
    this.url = this.beside?.url ?? `http://127.0.0.1:${this.port}`
    this.own = `http://127.0.0.1:${this.port}`
    const { publicKey, privateKey } = generateKeyPairSync('rsa', {
      modulusLength: 2048,
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs1', format: 'pem' }
    })
    this.actor = { id: 1, url: `${this.url}/accounts/peertube`, preferredUsername: 'peertube', publicKey, privateKey }
  }

  get base () {
    return `/plugins/${this.name}/router/`
  }

  // ------------------------------------------------------------- plugin life

  /** @param {object} [parts] a clock or fetch in place of the real ones */
  async load (parts) {
    const require = createRequire(join(this.plugin, 'package.json'))
    const entry = require.resolve(this.package.library)
    // PeerTube forgets the plugin's modules before it loads them again.
    for (const path of Object.keys(require.cache)) {
      if (path.startsWith(this.plugin)) delete require.cache[path]
    }
    this.#library = require(entry)
    this.router = express.Router()
    this.declared = []
    this.#settingCallbacks = []
    this.registered = true
    await this.#library.register(this.#registerOptions(), parts)
  }

  async unload () {
    this.registered = false
    await this.#library.unregister()
    this.hooks.clear()
  }

  async close () {
    if (this.registered) await this.unload()
    this.server.closeAllConnections()
    this.server.close()
    if (this.ownsDatabase && !this.sharesDatabase) await this.database.close()
    rmSync(this.directory, { recursive: true, force: true })
  }

  // ------------------------------------------------------- what a test drives

  /** As `PUT /plugins/:name/settings`: replaces everything saved, then tells the plugin. */
  async save (settings) {
    await this.#write({ ...settings })
    for (const callback of this.#settingCallbacks) await callback(this.saved)
  }

  /** What the plugin put into PeerTube's storage. */
  async stored () {
    const [row] = await this.database.rows('SELECT storage FROM plugin WHERE name = $1', [this.name])
    return row.storage
  }

  publicSettings () {
    const visible = this.declared.filter(({ name, private: hidden }) => name && hidden === false)
    return Object.fromEntries(visible.map(({ name }) => [name, this.#setting(name) ?? null]))
  }

  get clientScripts () {
    return this.package.clientScripts.map(entry => ({ ...entry, url: `${this.versioned}client-scripts/${entry.script}` }))
  }

  get versioned () {
    return `/plugins/${this.name}/${this.package.version}/`
  }

  /** Log a user in: the token that `fetch(..., { user })` sends. @param {{ id: number }} user a row of "user" */
  login (user) {
    for (const [token, id] of this.users) if (id === user.id) return token
    const token = randomUUID()
    this.users.set(token, user.id)
    return token
  }

  /** @param {RequestInit & { user?: { id: number }, json?: unknown }} [options] */
  fetch (path, { user, json, headers, ...options } = {}) {
    return fetch(new URL(path, this.own), {
      redirect: 'manual',
      ...options,
      body: json === undefined ? options.body : JSON.stringify(json),
      headers: {
        ...(json === undefined ? {} : { 'content-type': 'application/json' }),
        ...(user ? { authorization: `Bearer ${this.login(user)}` } : {}),
        ...headers
      }
    })
  }

  /** The request that PeerTube's watch page sends for its "Other videos". */
  related (uuid, { user, count = 7, tags = [], language = '*', referer = `${this.url}/w/${uuid}`, query = {} } = {}) {
    const parameters = new URLSearchParams({
      start: '0',
      count: String(count),
      skipCount: 'true',
      sort: '-publishedAt',
      searchTarget: 'local',
      ...(user ? { excludeAlreadyWatched: 'true' } : { nsfw: 'both', nsfwFlagsIncluded: '0' }),
      ...query
    })
    for (const tag of tags) parameters.append('tagsOneOf', tag)
    return this.fetch(`/api/v1/search/videos?${parameters}`, {
      user, headers: { 'accept-language': language, ...(referer ? { referer } : {}) }
    })
  }

  /** PeerTube's rule for hooks: a throwing filter is logged and what came before is kept. */
  async runFilter (target, value, context) {
    for (const { handler } of this.hooks.get(target) ?? []) {
      try {
        value = await handler(value, context)
      } catch (error) {
        this.#log('error', `Cannot run hook ${target}`, { err: error })
      }
    }
    return value
  }

  // ------------------------------------------------------------------ inside

  #log (level, message, meta) {
    this.logs.push({ level, message: String(message), meta })
  }

  async #write (settings) {
    this.saved = settings
    await this.database.rows('UPDATE plugin SET settings = $1 WHERE name = $2', [settings, this.name])
  }

  #setting (name) {
    return this.saved === null ? this.#declared(name) : this.saved[name]
  }

  #declared (name) {
    return this.declared.find(setting => setting.name === name)?.default
  }

  /** The secret as the admin reads it on the settings page. */
  get secret () {
    return this.saved?.secret ?? this.#declared('secret')
  }

  #registerOptions () {
    const query = async (sql, options) => {
      await this.queryDelay?.()
      // As Sequelize does.
      const fromReplica = this.replica && options?.type === 'SELECT' && !options.useMaster
      return (fromReplica ? this.replica : this.database).query(sql, options)
    }
    const logger = {}
    for (const level of ['debug', 'info', 'warn', 'error']) {
      logger[level] = (message, meta) => this.#log(level, message, meta)
    }
    const constants = values => ({ getConstants: () => ({ ...values }), getConstantValue: key => values[key] })
    return {
      registerHook: ({ target, handler, priority = 0 }) => {
        if (!this.filters.includes(target)) return this.#log('warn', `Unknown hook ${target} of plugin ${this.name}. Skipping.`)
        const handlers = this.hooks.get(target) ?? []
        handlers.push({ handler, priority })
        this.hooks.set(target, handlers.sort((a, b) => b.priority - a.priority))
      },
      registerSetting: setting => {
        this.declared = [...this.declared.filter(({ name }) => !name || name !== setting.name), setting]
      },
      getRouter: () => this.router,
      registerWebSocketRoute: () => {},
      settingsManager: {
        getSetting: async name => this.#setting(name),
        getSettings: async names => Object.fromEntries(names
          .map(name => [name, this.saved?.[name] ?? this.#declared(name)])
          .filter(([, value]) => value !== undefined)),
        // PeerTube 7.2 replaces everything that was saved by this one setting.
        setSetting: (name, value) => this.#write({ [name]: value }),
        onSettingsChange: callback => { this.#settingCallbacks.push(callback) }
      },
      storageManager: {
        getData: async key => (await this.stored())?.[key],
        storeData: async (key, data) => {
          await this.database.rows(`UPDATE plugin SET storage = jsonb_set(COALESCE(storage, '{}'), $1::text[], $2::jsonb) WHERE name = $3`,
            [[key], JSON.stringify(data), this.name])
        }
      },
      videoCategoryManager: constants(CATEGORIES),
      videoLanguageManager: constants({ en: 'English', fr: 'French' }),
      videoLicenceManager: constants({}),
      peertubeHelpers: {
        logger,
        database: { query },
        videos: {},
        config: {
          getWebserverUrl: () => this.url,
          getServerListeningConfig: () => ({ hostname: '127.0.0.1', port: this.port }),
          getServerConfig: async () => ({
            serverVersion: VERSIONS[this.major],
            instance: { name: 'Host', defaultNSFWPolicy: this.nsfwPolicy },
            signup: this.signup,
            plugin: this.logins
          })
        },
        moderation: {},
        server: { getHTTPServer: () => this.server, getServerActor: async () => ({ ...this.actor }) },
        socket: {},
        plugin: {
          getBaseStaticRoute: () => `${this.versioned}static/`,
          getBaseRouterRoute: () => `${this.versioned}router/`,
          getBaseWebSocketRoute: () => `${this.versioned}ws/`,
          getDataDirectoryPath: () => this.directory
        },
        user: {
          getAuthUser: async res => {
            const user = res.locals.oauth?.token?.User
            return user ? this.#user(user.id) : undefined
          },
          loadById: id => this.#user(id)
        }
      }
    }
  }

  async #user (id) {
    const [row] = await this.database.rows('SELECT * FROM "user" WHERE id = $1', [id])
    if (!row) return undefined
    const [account] = await this.database.rows('SELECT id, name FROM account WHERE "userId" = $1', [id])
    return { ...row, Account: account }
  }

  /** As PeerTube's `optionalAuthenticate`: an `Authorization` header that is no token of ours never gets further. */
  #authenticate = async (req, res, next) => {
    const header = req.headers.authorization
    if (!header) return next()
    const [scheme, token] = header.split(' ')
    if (scheme !== 'Bearer') return res.status(400).json({ error: 'invalid_request' })
    const user = this.users.has(token) ? await this.#user(this.users.get(token)) : undefined
    if (!user) return res.status(401).json({ error: 'invalid_token' })
    res.locals.oauth = { token: { User: user } }
    next()
  }

  #routes () {
    const { app } = this
    app.use('/plugins', (_req, res, next) => {
      res.set('Access-Control-Allow-Origin', '*')
      next()
    })
    app.use(express.json({
      type: ['json', 'application/*+json'],
      limit: '500kb',
      verify: (req, _res, buffer) => { if (req.originalUrl.startsWith('/plugins/')) req.rawBody = buffer }
    }))
    const sent = { maxAge: '30 days' }
    app.get('/plugins/global.css', (_req, res) => {
      const css = this.package.css.map(path => readFileSync(join(this.plugin, path), 'utf8'))
      res.type('css').send(css.join('\n'))
    })
    app.get('/plugins/translations/:locale.json', (req, res) => {
      const path = this.package.translations[req.params.locale.split('-')[0]]
      const content = path ? JSON.parse(readFileSync(join(this.plugin, path), 'utf8')) : {}
      res.json({ [this.package.name]: content })
    })
    app.get(`${this.versioned}client-scripts/*`, (req, res) => {
      const script = this.package.clientScripts.find(entry => entry.script === req.params[0])
      if (!script) return res.status(404).end()
      res.sendFile(join(this.plugin, script.script), sent)
    })
    app.get(`${this.versioned}static/*`, (req, res) => {
      const [directory, ...file] = req.params[0].split('/')
      const path = this.package.staticDirs[directory]
      if (!path) return res.status(404).end()
      res.sendFile(join(this.plugin, path, file.join('/')), sent)
    })
    const custom = (req, res, next) => this.registered ? this.router(req, res, next) : res.status(404).end()
    app.use(`/plugins/${this.name}/router`, this.#authenticate, custom)
    app.use(`${this.versioned}router`, this.#authenticate, custom)

    app.get('/api/v1/config', (_req, res) => {
      const { name: npmName, version } = this.package
      const registered = this.registered ? [{ npmName, name: this.name, version }] : []
      res.json({ serverVersion: VERSIONS[this.major], plugin: { registered } })
    })
    app.get(`/api/v1/plugins/${this.package.name}/public-settings`, (_req, res) => {
      res.json({ publicSettings: this.publicSettings() })
    })
    app.get('/api/v1/users/me', this.#authenticate, (_req, res) => {
      const user = res.locals.oauth?.token.User
      if (!user) return res.status(401).end()
      res.json({ id: user.id, username: user.username, role: { id: user.role } })
    })
    app.get('/api/v1/search/videos', this.#authenticate, (req, res, next) => {
      this.#search(req, res).catch(next)
    })
    this.app.use('/plugins', (_req, res) => res.status(404).end())
    app.use('/api', (_req, res) => res.status(404).end())
    app.use((error, _req, res, _next) => {
      this.#log('error', 'request failed', { err: error })
      if (!res.headersSent) res.status(error.status ?? 500).json({ error: error.message })
    })
  }

  async #search (req, res) {
    const { query } = req
    const user = res.locals.oauth?.token.User
    const options = {
      start: Number(query.start ?? 0),
      count: Math.min(Number(query.count ?? 15), 100),
      sort: query.sort ?? '-match',
      skipCount: query.skipCount === 'true',
      search: query.search,
      searchTarget: query.searchTarget,
      tagsOneOf: query.tagsOneOf,
      tagsAllOf: query.tagsAllOf,
      categoryOneOf: query.categoryOneOf,
      languageOneOf: query.languageOneOf,
      uuids: query.uuids ? [query.uuids].flat() : undefined,
      excludeAlreadyWatched: query.excludeAlreadyWatched === 'true',
      nsfw: query.nsfw === 'false' || (!query.nsfw && user?.nsfwPolicy === 'do_not_list') ? false : undefined,
      displayOnlyForFollower: { actorId: this.actor.id, orLocalVideos: true },
      countVideos: query.skipCount !== 'true',
      user
    }
    const params = await this.runFilter('filter:api.search.videos.local.list.params', options, { req, res })
    const { sql, bind } = searchSql(this.major, params)
    const rows = await this.database.rows(sql, bind)
    const found = { data: rows.map(row => new Video(row)), total: rows.length }
    const result = await this.runFilter('filter:api.search.videos.local.list.result', found, params)
    res.json({ total: result.total, data: result.data.map(video => video.toFormattedJSON()) })
  }
}
