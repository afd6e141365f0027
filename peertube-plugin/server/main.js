'use strict'

const { AdminRoutes } = require('./admin.js')
const { AdminPage } = require('./admin-page.js')
const { Audience } = require('./audience.js')
const { systemClock } = require('./clock.js')
const { Consent } = require('./consent.js')
const { Control } = require('./control.js')
const { Daemon } = require('./daemon.js')
const { Diagnostics } = require('./diagnostics.js')
const { Effects } = require('./effects.js')
const { Exclusions } = require('./exclusions.js')
const { Export } = require('./export.js')
const { Guards } = require('./guards.js')
const { InstanceCard } = require('./identity.js')
const { LedgerSeen } = require('./ledger-seen.js')
const { Lists } = require('./lists.js')
const { createLog } = require('./log.js')
const { Proxy } = require('./proxy.js')
const { Pseudonyms } = require('./pseudonym.js')
const { Recommendations } = require('./recommendations.js')
const { Related } = require('./related.js')
const { ServedModel } = require('./served-model.js')
const { Settings, declare } = require('./settings.js')
const { Queries } = require('./sql.js')
const { Stored } = require('./stored.js')
const { Vectors } = require('./vectors.js')
const { ViewerRoutes } = require('./viewer.js')
const { Viewers } = require('./viewers.js')
const { version } = require('../package.json')

/** @type {(() => void)[]} */
let closing = []

/**
 * Called by PeerTube at its start and after installation. It never throws: PeerTube would keep the plugin enabled but
 * unregistered, and no update would repair that. `parts` is for tests.
 *
 * @param {import('@peertube/peertube-types').RegisterServerOptions} options
 * @param {{ clock?: import('./clock.js').Clock, fetch?: typeof globalThis.fetch }} [parts]
 */
async function register (options, parts) {
  const log = createLog(options.peertubeHelpers.logger)
  try {
    await wire(options, log, parts)
  } catch (error) {
    log.error('the plugin could not start; PeerTube works as without it', error)
  }
}

/** Leaves nothing running. */
async function unregister () {
  for (const close of closing) close()
  closing = []
}

/**
 * @param {import('@peertube/peertube-types').RegisterServerOptions} options
 * @param {import('./log.js').Log} log
 * @param {{ clock?: import('./clock.js').Clock, fetch?: typeof globalThis.fetch }} [parts]
 */
async function wire (options, log, { clock = systemClock, fetch = globalThis.fetch } = {}) {
  const { peertubeHelpers: helpers, settingsManager, storageManager, registerHook, videoCategoryManager } = options
  const { config } = helpers
  const query = /** @type {any} */ (helpers.database.query)
  const stored = await Stored.open(query, storageManager)
  const settings = new Settings({ manager: settingsManager, stored })
  declare(options.registerSetting, settings, config)
  const consent = new Consent(query)
  await consent.createTables()
  const pseudonyms = new Pseudonyms(Buffer.from(stored.content.key, 'hex'))
  const sql = await Queries.open(query)

  const isErased = () => stored.erased
  const effects = new Effects(query, { sql, clock, log, settings, isErased })
  await effects.createTable()

  const daemon = new Daemon({ settings, clock, fetch })
  const proxy = new Proxy({ settings, clock, fetch })
  const viewers = new Viewers({ settings, sql })
  const exclusions = new Exclusions({ sql })
  const served = new ServedModel({ daemon, clock })
  const lists = new Lists({ daemon, sql, served, clock, log })
  const related = new Related({ settings, lists, viewers, exclusions, pseudonyms, sql, config, clock, effects })
  const vectors = new Vectors({ settings, daemon, clock, log })
  const identity = new InstanceCard({ daemon, clock, helpers })
  closing = [
    () => { served.close() }, () => { related.close() }, () => { proxy.close() }, () => { daemon.close() },
    () => { void effects.write() }
  ]
  const clear = () => {
    related.clear()
    vectors.clear()
  }
  settings.onChange(clear)
  stored.onChange(({ key }) => { pseudonyms.renew(Buffer.from(key, 'hex')) })
  served.onChange = () => {
    lists.drop()
    vectors.clear()
  }

  const erase = async () => {
    await settings.erase()
    await consent.dropTables()
    return ['choices', 'hidden videos and channels', 'exclusions', 'daily totals', 'key of the pseudonyms', 'secret']
  }
  const categories = () => /** @type {any} */ (videoCategoryManager.getConstants())
  const audience = new Audience({ settings, config, isErased })
  const diagnostics = new Diagnostics({
    settings, sql, daemon, identity, effects, lists, vectors, audience, config, isErased
  })

  const guards = new Guards({ stored, settings, log, user: helpers.user })
  const router = options.getRouter()
  const routes = [
    new Export({ settings, sql, pseudonyms, exclusions, audience, config, categories, version, isErased }),
    new LedgerSeen({ stored }),
    new ViewerRoutes({
      settings, sql, consent, viewers, related, exclusions, pseudonyms, daemon, clock, log, isErased
    }),
    new Recommendations({ settings, related, viewers, pseudonyms, daemon, config, clock, log, isErased, fetch }),
    new AdminRoutes({ consent, exclusions, diagnostics, erase, isErased }),
    new Control({ daemon, log }),
    effects,
    new AdminPage({ daemon, log, settings }),
    identity,
    vectors,
    proxy
  ]
  for (const route of routes) route.mount(router, guards)
  // PeerTube would answer what is left with its own page.
  router.use(guards.everybody((_req, res) => { res.status(404).end() }))

  /** @param {string} target @param {Function} handler */
  const filter = (target, handler) => { registerHook(/** @type {any} */ ({ target, handler })) }
  filter('filter:api.search.videos.local.list.params', related.params.bind(related))
  filter('filter:api.search.videos.local.list.result', related.result.bind(related))
  if (await mayHaveRecommendations(config)) {
    filter('filter:api.recommendations.videos.list.params', related.recommendations.bind(related))
    filter('filter:api.recommendations.videos.list.result', related.result.bind(related))
  }
}

/**
 * Whether PeerTube may have a route for recommendations, with filters around it. It is planned for a version after 8; of
 * filters that it does not know PeerTube warns in its log, at each start.
 *
 * @param {import('@peertube/peertube-types').PeerTubeHelpers['config']} config
 */
async function mayHaveRecommendations (config) {
  const { serverVersion } = await config.getServerConfig()
  return Number.parseInt(serverVersion, 10) > 8
}

module.exports = { register, unregister }
