'use strict'

const { FEWEST, isSilent } = require('./effects.js')
const { COLD_MS } = require('./related.js')

const NOBODY = '0'.repeat(32)
/** What keeps the daemon's setting `serve.exact_own` without effect, and what to do. */
const OPENINGS = {
  'members-only': 'serve.exact_own has no effect, since everybody sees suggestions: show them to logged-in members only in ' +
    'the settings, or set it to false in the daemon\'s shoal.toml.',
  registration: 'serve.exact_own has no effect, since anybody can register or ask to: close registration in PeerTube\'s ' +
    'settings, or set it to false in the daemon\'s shoal.toml.',
  logins: 'serve.exact_own has no effect, since a plugin lets other programs decide who may log in: uninstall that plugin, ' +
    'or set it to false in the daemon\'s shoal.toml.'
}
/** What keeps the daemon from filling lists though it answers now, and what to do. */
const AILMENTS = {
  away: 'The daemon could not be reached a moment ago: if that lasts, check that it runs, and its address in the settings.',
  slow: `The daemon fails to answer within ${COLD_MS} ms: look at its log and at the load of its machine.`,
  failing: 'The daemon gives no lists: look at its log, and at whether a model serves (shoal status).'
}
/** Viewers below whom little stands out of the noise: docs/privacy.md. */
const FEW = 100

const UNTIL_SECRET = 'Not known before the daemon has the same secret.'

/**
 * Whether everything works, and if not what to do. One object per check; `ok` is null where nothing can be said yet.
 *
 * @typedef {{ id: string, ok: boolean | null, message: string, advice: string }} Check
 */
class Diagnostics {
  /**
   * @param {{ settings: import('./settings.js').Settings, sql: import('./sql.js').Queries,
   *           daemon: import('./daemon.js').Daemon, identity: import('./identity.js').InstanceCard,
   *           effects: import('./effects.js').Effects, lists: import('./lists.js').Lists,
   *           vectors: import('./vectors.js').Vectors, audience: import('./audience.js').Audience,
   *           config: import('@peertube/peertube-types').PeerTubeHelpers['config'], isErased: () => boolean }} parts
   */
  constructor (parts) {
    this.parts = parts
  }

  async run () {
    const { effects, lists, settings } = this.parts
    const status = await this.parts.daemon.status().then(
      value => ({ value, error: undefined }), error => ({ value: undefined, error }))
    const lately = await effects.lately()
    const checks = await Promise.all([
      this.#settings(),
      this.#consent(),
      this.#tables(),
      this.#daemon(status),
      this.#secret(status.value),
      this.#sync(status.value),
      this.#participants(status.value),
      this.#related(status.value, lately),
      this.#browser(status.value),
      this.#audience(status.value),
      this.#searchIndex(),
      this.#federation(status.value)
    ])
    return {
      ok: checks.every(({ ok }) => ok !== false),
      checks,
      // Lists are counted over all server processes and days; questions to the daemon in this one since its start.
      related: { on: settings.values.relatedList, lately, here: { ...lists.counts, paused: lists.paused } }
    }
  }

  /** @returns {Check} */
  #settings () {
    const { daemonUrl, federationUrl, secret } = this.parts.settings.values
    if (!secret) {
      return check('settings', false, '', 'Type a secret of 16 to 200 characters without spaces in the settings, or empty it.')
    }
    return check('settings', daemonUrl !== null && federationUrl !== null,
      'The addresses of the daemon are usable.',
      'Give both addresses in the settings as http://host:port.')
  }

  /** @returns {Check} */
  #consent () {
    const { consent, lacksConfirmation } = this.parts.settings.values
    return check('consent', !lacksConfirmation, consent === 'opt-out'
      ? 'Viewers take part unless they refuse, as you confirmed. Under European law that is no consent.'
      : 'Viewers take part only after they agreed.',
    'Viewers take part only after they agreed, because the confirmation for "unless they refuse" is missing. ' +
    'Type it in the settings, or select "only after they agreed".')
  }

  /** @returns {Promise<Check>} */
  async #tables () {
    if (this.parts.isErased()) {
      return check('tables', false, '', 'Everything was erased: uninstall the plugin, or restart PeerTube to begin anew.')
    }
    const works = await this.parts.sql.adminExclusions().then(() => true, () => false)
    return check('tables', works, 'The tables for viewers\' choices are there.',
      'Restart PeerTube; if that does not help, look for "shoal" in its log.')
  }

  /** @param {{ value: any, error: any }} status @returns {Check} */
  #daemon ({ value, error }) {
    return check('daemon', value !== undefined, 'The daemon answers.', error?.code === 'TIMEOUT'
      ? 'The daemon takes too long to answer: look at its log and at the load of its machine.'
      : 'Start the daemon, and check its address in the settings, as PeerTube\'s machine or container sees it.')
  }

  /** @param {any} status @returns {Promise<Check>} */
  async #secret (status) {
    if (!status) return unknown('secret', 'Not known before the daemon answers.')
    const agreed = await this.parts.daemon.known(NOBODY).then(
      () => true, ({ status: code }) => code >= 400 && code < 500 ? false : null)
    return check('secret', agreed, 'The daemon has the same secret.',
      'Copy the secret from the settings into [source] of the daemon\'s shoal.toml and restart it.')
  }

  /** @param {any} status @returns {Check} */
  #sync (status) {
    if (!status) return unknown('sync', 'Not known before the daemon answers.')
    if (!status.source) return unknown('sync', UNTIL_SECRET)
    return check('sync', status.source.last_sync !== null, 'The daemon has read videos and viewers from here.',
      'Run `shoal sync` beside the daemon, and look at what it says.')
  }

  /** @param {any} status @returns {Promise<Check>} */
  async #participants (status) {
    if (this.parts.isErased() || !status) return unknown('participants', 'Not known before the daemon answers.')
    if (!status.source) return unknown('participants', UNTIL_SECRET)
    const { settings, sql } = this.parts
    const count = await sql.countParticipants(settings.values.consent === 'opt-out')
    return check('participants', count >= FEW ? true : null, `Viewers who take part: ${count}.`,
      `Viewers who take part: ${count}. With fewer than about ${FEW}, noise hides most of what they watch, and suggestions ` +
      'rest on tags, channels and languages. Tell viewers about the choice in their account.')
  }

  /** @param {any} status @param {import('./effects.js').Totals} lately @returns {Check} */
  #related (status, lately) {
    const { pages, filled, stock, withoutVideo } = lately
    const { settings, lists, effects } = this.parts
    if (!settings.values.relatedList) return unknown('related', 'The related list is switched off in the settings.')
    if (effects.fills && isSilent(lately)) {
      return check('related', false, '', `Watch pages seen since yesterday: ${pages}. PeerTube asked for a related list on none ` +
        'of them, so viewers see no suggestions of Shoal. It may ask in another way since an update: update the plugin.')
    }
    // What fails for want of a daemon is said once.
    if (!status) return unknown('related', 'Viewers see PeerTube\'s own list until the daemon answers.')
    if (status.model === null) return unknown('related', 'No model serves yet, so viewers see PeerTube\'s own list.')
    if (filled + stock < FEWEST) return unknown('related', 'Not enough pages watched since yesterday to tell.')
    if (withoutVideo > (filled + stock) / 2) {
      return check('related', false, '', 'Most pages do not tell which video they show: let the web server send ' +
        '"Referrer-Policy: same-origin" or "strict-origin-when-cross-origin".')
    }
    return check('related', lists.ailment === null && filled > 0,
      `In the last day or two, lists filled in all server processes: ${filled}. Left in PeerTube's own order: ${stock}.`,
      AILMENTS[lists.ailment ?? 'failing'])
  }

  /** @param {any} status @returns {Promise<Check>} */
  async #browser (status) {
    const { settings, vectors } = this.parts
    if (!settings.values.browserSuggestions) {
      return unknown('browser', 'Suggestions in the browser are switched off in the settings.')
    }
    if (settings.values.membersOnly) {
      return unknown('browser', 'Suggestions are shown to logged-in members only, so browsers get no vectors.')
    }
    if (!status) return unknown('browser', 'Not known before the daemon answers.')
    return check('browser', await vectors.current() !== null, 'Browsers can rank by themselves.',
      'The daemon has no vectors to offer: they come with a model whose sum was proposed with their publication and ' +
      'with noise.')
  }

  /** @param {any} status @returns {Promise<Check>} */
  async #audience (status) {
    const seen = this.parts.settings.values.membersOnly
      ? 'Only logged-in members see suggestions.'
      : 'Everybody sees suggestions.'
    if (status?.source?.exact_own !== true) return check('audience', true, seen, '')
    const [opening] = await this.parts.audience.openings()
    return check('audience', opening === undefined,
      'Only logged-in members see suggestions. They rest on exact numbers of viewers (serve.exact_own), so that a member ' +
      'who compares lists can find out what single other members watched.',
      OPENINGS[opening ?? 'members-only'])
  }

  /** @returns {Promise<Check>} */
  async #searchIndex () {
    const { search } = await this.parts.config.getServerConfig()
    const elsewhere = search?.searchIndex?.enabled && search.searchIndex.disableLocalSearch
    return check('search', !elsewhere, 'PeerTube searches its own videos.',
      'Allow local search beside the search index in PeerTube\'s settings: the watch page needs it.')
  }

  /** @param {any} status @returns {Promise<Check>} */
  async #federation (status) {
    if (!status) return unknown('federation', 'Not known before the daemon answers.')
    if ((status.mode ?? 'off') === 'off') return unknown('federation', 'The daemon works alone (mode off).')
    const works = await this.parts.identity.card().then(() => true, () => false)
    return check('federation', works, 'Other instances can reach the daemon through this one.',
      'Check the address of the daemon\'s listener in the settings, and that the daemon\'s host is this instance\'s.')
  }
}

/** @param {string} id @param {boolean | null} ok @param {string} good @param {string} advice @returns {Check} */
function check (id, ok, good, advice) {
  return ok ? { id, ok, message: good, advice: '' } : { id, ok, message: '', advice }
}

/** @param {string} id @param {string} message @returns {Check} */
function unknown (id, message) {
  return { id, ok: null, message, advice: '' }
}

module.exports = { Diagnostics }
