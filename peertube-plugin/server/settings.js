'use strict'

const { randomBytes } = require('node:crypto')

/**
 * @typedef {object} Values
 * @property {string | null} daemonUrl base address of the daemon's local API, null when what was typed is no address
 * @property {string | null} federationUrl base address of the daemon's listener for peers, null likewise
 * @property {string} secret shared with the daemon
 * @property {boolean} relatedList
 * @property {'opt-in' | 'opt-out'} consent
 */

// PeerTube applies declared defaults only until somebody saves settings for the first time, so they are kept here.
const DEFAULTS = {
  'daemon-url': 'http://127.0.0.1:9731',
  'federation-url': 'http://127.0.0.1:9732',
  secret: '',
  'related-list': true,
  consent: 'opt-in'
}
const NAMES = Object.keys(DEFAULTS)

/** The settings, read once and then kept: PeerTube asks its database on every `getSetting`. */
class Settings {
  /** @type {((values: Values) => void)[]} */
  #listeners = []

  /**
   * @param {import('@peertube/peertube-types').PluginSettingsManager} manager
   * @param {Record<string, unknown>} saved
   */
  constructor (manager, saved) {
    this.manager = manager
    /** @type {Values} */
    this.values = read(saved)
  }

  /**
   * Read what is saved, make a secret when there is none, and follow changes.
   *
   * @param {import('@peertube/peertube-types').PluginSettingsManager} manager
   */
  static async load (manager) {
    const settings = new Settings(manager, await manager.getSettings(NAMES))
    await settings.#ensureSecret()
    manager.onSettingsChange(async saved => {
      settings.values = read(saved)
      await settings.#ensureSecret()
      for (const listener of settings.#listeners) listener(settings.values)
    })
    return settings
  }

  /** @param {(values: Values) => void} listener */
  onChange (listener) {
    this.#listeners.push(listener)
  }

  /** Leave settings behind under which nobody takes part and nothing is shown, and no secret in the database. */
  async erase () {
    const { manager, values } = this
    await manager.setSetting('secret', '')
    await manager.setSetting('related-list', false)
    await manager.setSetting('consent', 'opt-in')
    this.values = { ...values, relatedList: false, consent: 'opt-in' }
  }

  async #ensureSecret () {
    if (this.values.secret) return
    const secret = randomBytes(32).toString('hex')
    await this.manager.setSetting('secret', secret)
    this.values = { ...this.values, secret }
  }
}

/**
 * @param {Record<string, unknown>} saved
 * @returns {Values}
 */
function read (saved) {
  /** @type {(name: keyof typeof DEFAULTS) => unknown} */
  const value = name => saved?.[name] ?? DEFAULTS[name]
  const secret = value('secret')
  const related = value('related-list')
  return {
    daemonUrl: address(value('daemon-url')),
    federationUrl: address(value('federation-url')),
    secret: typeof secret === 'string' ? secret.trim() : '',
    relatedList: related === true || related === 'true',
    consent: value('consent') === 'opt-out' ? 'opt-out' : 'opt-in'
  }
}

/** @param {unknown} text */
function address (text) {
  if (typeof text !== 'string') return null
  try {
    const url = new URL(text.trim())
    const usable = ['http:', 'https:'].includes(url.protocol) && !url.username && !url.search
    return usable ? url.href.replace(/\/+$/, '') : null
  } catch {
    return null
  }
}

/** @param {(setting: import('@peertube/peertube-types').RegisterServerSettingOptions) => void} registerSetting */
function declare (registerSetting) {
  registerSetting({
    type: 'html',
    html: '<p><a href="/p/shoal">Diagnostics and exclusions</a></p>',
    private: true
  })
  registerSetting({
    name: 'related-list',
    label: 'Fill "Other videos" on the watch page',
    type: 'input-checkbox',
    descriptionHTML: 'Off: PeerTube shows its own list.',
    default: DEFAULTS['related-list'],
    private: false
  })
  registerSetting({
    name: 'consent',
    label: 'Viewers take part in training',
    type: 'select',
    options: [
      { value: 'opt-in', label: 'only after they agreed' },
      { value: 'opt-out', label: 'unless they refuse' }
    ],
    descriptionHTML: 'Viewers are told which of the two applies. Those who switched their history off never take part.',
    default: DEFAULTS.consent,
    private: false
  })
  registerSetting({
    name: 'daemon-url',
    label: 'Address of the daemon',
    type: 'input',
    descriptionHTML: 'As PeerTube reaches it, usually on the same machine.',
    default: DEFAULTS['daemon-url'],
    private: true
  })
  registerSetting({
    name: 'federation-url',
    label: 'Address of the daemon\'s listener for other instances',
    type: 'input',
    descriptionHTML: 'Other instances reach it through this plugin; it needs no open port.',
    default: DEFAULTS['federation-url'],
    private: true
  })
  registerSetting({
    name: 'secret',
    label: 'Secret shared with the daemon',
    type: 'input-password',
    descriptionHTML: 'Give it to <code>shoal init --secret</code>. Empty it and save to make a new one.',
    default: DEFAULTS.secret,
    private: true
  })
}

module.exports = { Settings, declare }
