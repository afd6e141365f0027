'use strict'

const NOBODY = '0'.repeat(32)

/**
 * Whether everything works, and if not what to do. One object per check; `ok` is null where nothing can be said yet.
 *
 * @typedef {{ id: string, ok: boolean | null, message: string, advice: string }} Check
 */
class Diagnostics {
  /**
   * @param {{ settings: import('./settings.js').Settings, sql: import('./sql.js').Queries,
   *           daemon: import('./daemon.js').Daemon, identity: import('./identity.js').InstanceCard,
   *           related: import('./related.js').Related, lists: import('./lists.js').Lists,
   *           vectors: import('./vectors.js').Vectors,
   *           config: import('@peertube/peertube-types').PeerTubeHelpers['config'], isErased: () => boolean }} parts
   */
  constructor (parts) {
    this.parts = parts
  }

  async run () {
    const { related, lists, settings } = this.parts
    const status = await this.parts.daemon.status().then(
      value => ({ value, error: undefined }), error => ({ value: undefined, error }))
    const checks = await Promise.all([
      this.#settings(),
      this.#tables(),
      this.#daemon(status),
      this.#secret(status.value),
      this.#sync(status.value),
      this.#participants(status.value),
      this.#related(),
      this.#browser(),
      this.#searchIndex(),
      this.#federation(status.value)
    ])
    return {
      ok: checks.every(({ ok }) => ok !== false),
      checks,
      related: {
        on: settings.values.relatedList, ...related.counts, ...lists.counts, paused: lists.paused
      }
    }
  }

  /** @returns {Check} */
  #settings () {
    const { daemonUrl, federationUrl, secret } = this.parts.settings.values
    if (!secret) return check('settings', false, '', 'Type a longer secret in the settings, or empty it.')
    return check('settings', daemonUrl !== null && federationUrl !== null,
      'The addresses of the daemon are usable.',
      'Give both addresses in the settings as http://host:port.')
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
    const at = status.source?.last_sync
    return check('sync', at === undefined ? null : at !== null, 'The daemon has read videos and viewers from here.',
      'Run `shoal sync` beside the daemon, and look at what it says.')
  }

  /** @param {any} status @returns {Promise<Check>} */
  async #participants (status) {
    const needed = status?.source?.min_users
    if (this.parts.isErased() || !Number.isInteger(needed)) {
      return unknown('participants', 'Not known before the daemon answers.')
    }
    const { settings, sql } = this.parts
    const count = await sql.countParticipants(settings.values.consent === 'opt-out')
    return check('participants', count >= needed ? true : null, `Viewers who take part: ${count}.`,
      `Viewers who take part: ${count}; ${needed} are needed before what they watch counts. Until then suggestions rest on ` +
      'tags, channels and languages. Tell viewers about the choice in their account.')
  }

  /** @returns {Check} */
  #related () {
    const { settings, related, lists } = this.parts
    if (!settings.values.relatedList) return unknown('related', 'The related list is switched off in the settings.')
    const { filled, stock, withoutVideo } = related.counts
    if (filled + stock < 10) return unknown('related', 'Not enough pages watched since PeerTube\'s start to tell.')
    if (withoutVideo > (filled + stock) / 2) {
      return check('related', false, '', 'Most pages do not tell which video they show: let the web server send ' +
        '"Referrer-Policy: same-origin" or "strict-origin-when-cross-origin".')
    }
    return check('related', !lists.paused && filled > 0, 'The related list is filled.',
      'The daemon fails to answer within 100 ms: look at its log and at the load of its machine.')
  }

  /** @returns {Promise<Check>} */
  async #browser () {
    const { settings, vectors } = this.parts
    if (!settings.values.browserSuggestions) {
      return unknown('browser', 'Suggestions in the browser are switched off in the settings.')
    }
    return check('browser', await vectors.current() !== null, 'Browsers can rank by themselves.',
      'The daemon has no vectors to offer: they come with a model whose sum was proposed with their publication and ' +
      'with noise.')
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
    if ((status.federation?.mode ?? 'off') === 'off') return unknown('federation', 'The daemon works alone (mode off).')
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
