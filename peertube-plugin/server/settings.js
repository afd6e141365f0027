'use strict'

const { addressesOf, pairingCode } = require('./pairing-code.js')

/**
 * @typedef {object} Values
 * @property {string | null} daemonUrl base address of the daemon's local API, null when what was typed is no address
 * @property {string | null} federationUrl base address of the daemon's listener for peers, null likewise
 * @property {string} secret shared with the daemon; empty, and good for nothing, when the admin's is not usable
 * @property {boolean} relatedList
 * @property {boolean} membersOnly suggestions are shown to nobody who is not logged in
 * @property {boolean} browserSuggestions suggestions computed in the browser for people who are not logged in
 * @property {'opt-in' | 'opt-out'} consent what holds: opt-out only while the confirmation is there
 * @property {boolean} invitation viewers who have not chosen are asked on the watch page
 * @property {boolean} lacksConfirmation opt-out is selected, but not confirmed
 */

// PeerTube applies declared defaults only until somebody saves settings for the first time, so they are kept here.
const DEFAULTS = {
  'daemon-url': 'http://127.0.0.1:9731',
  'federation-url': 'http://127.0.0.1:9732',
  secret: '',
  'related-list': true,
  'members-only': false,
  'browser-suggestions': false,
  consent: 'opt-in',
  invitation: true,
  'opt-out-confirmation': ''
}
const MIN_SECRET = 16
// What can stand in an HTTP header, and the daemon takes.
const USABLE_SECRET = /^[!-~]{16,200}$/
const ERASED = /** @type {const} */ ([
  ['secret', ''], ['browser-suggestions', false], ['consent', 'opt-in'], ['opt-out-confirmation', '']
])
// As the field's description gives it in each language; without apostrophes and accents, which keyboards vary.
const CONFIRMATIONS = ['viewers take part without having said yes', 'les membres participent sans avoir dit oui']

/**
 * @typedef {import('@peertube/peertube-types').PluginSettingsManager} Manager
 * @typedef {import('./stored.js').Stored} Stored
 */

/** The settings, kept from one change to the next: PeerTube asks its database on every `getSetting`. */
class Settings {
  /** @type {((values: Values) => void)[]} */
  #listeners = []
  #manager
  #stored

  /**
   * Read what is saved, and follow changes, of this process and of others. The generated secret is not a setting:
   * PeerTube's `setSetting` takes every other one away (7.2), and what the admin saved must survive.
   *
   * @param {{ manager: Manager, stored: Stored }} parts
   */
  constructor ({ manager, stored }) {
    this.#manager = manager
    this.#stored = stored
    /** @type {Values} */
    this.values = read(stored.content.saved, this.generated)
    manager.onSettingsChange(saved => {
      this.#take(read(saved, this.generated))
      return Promise.resolve()
    })
    stored.onChange(({ saved }) => {
      this.#take(stored.erased ? withoutAnybody(this.values) : read(saved, this.generated))
    })
  }

  /** The secret that holds unless the admin typed another. */
  get generated () {
    return this.#stored.content.secret
  }

  /** @param {(values: Values) => void} listener */
  onChange (listener) {
    this.#listeners.push(listener)
  }

  /**
   * Leave settings behind under which nobody takes part, and no secret in the database. The related list is off until
   * the plugin is loaded anew: who installs it again gets it without looking for the switch.
   */
  async erase () {
    for (const [name, value] of ERASED) await this.#manager.setSetting(name, value)
    await this.#stored.erase()
    this.#take(withoutAnybody(this.values))
  }

  /** @param {Values} values */
  #take (values) {
    this.values = values
    for (const listener of this.#listeners) listener(values)
  }
}

/** @param {Values} values @returns {Values} */
function withoutAnybody (values) {
  return { ...values, relatedList: false, browserSuggestions: false, consent: 'opt-in', lacksConfirmation: false }
}

/**
 * @param {Record<string, unknown>} saved
 * @param {string} generated
 * @returns {Values}
 */
function read (saved, generated) {
  /** @type {(name: keyof typeof DEFAULTS) => unknown} */
  const value = name => saved?.[name] ?? DEFAULTS[name]
  const typed = String(value('secret')).trim()
  const isOn = (/** @type {keyof typeof DEFAULTS} */ name) => String(value(name)) === 'true'
  const wantsOptOut = value('consent') === 'opt-out'
  const isConfirmed = CONFIRMATIONS.includes(String(value('opt-out-confirmation')).trim().toLowerCase())
  return {
    daemonUrl: address(value('daemon-url')),
    federationUrl: address(value('federation-url')),
    secret: typed === '' ? generated : USABLE_SECRET.test(typed) ? typed : '',
    relatedList: isOn('related-list'),
    membersOnly: isOn('members-only'),
    browserSuggestions: isOn('browser-suggestions'),
    consent: wantsOptOut && isConfirmed ? 'opt-out' : 'opt-in',
    invitation: isOn('invitation'),
    lacksConfirmation: wantsOptOut && !isConfirmed
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

/**
 * Everything that PeerTube shows on the plugin's settings page, which administrators alone may open.
 *
 * @param {(setting: import('@peertube/peertube-types').RegisterServerSettingOptions) => void} registerSetting
 * @param {Settings} settings
 * @param {import('@peertube/peertube-types').PeerTubeHelpers['config']} config
 */
function declare (registerSetting, settings, config) {
  registerSetting({
    name: 'links',
    type: 'html',
    html: '<p><a href="/p/shoal">Diagnostics, exclusions, erasing everything</a></p>',
    private: true
  })
  declarePairing(registerSetting, settings, config)
  registerSetting({
    name: 'related-list',
    label: 'Fill "Other videos" on the watch page',
    type: 'input-checkbox',
    descriptionHTML: 'Off: PeerTube shows its own list.',
    default: DEFAULTS['related-list'],
    private: false
  })
  registerSetting({
    name: 'members-only',
    label: 'Show suggestions to logged-in members only',
    type: 'input-checkbox',
    descriptionHTML: 'On: everybody else sees PeerTube\'s own list, without reasons, and browsers get no vectors. The ' +
      'daemon\'s setting <code>serve.exact_own</code> needs this, and registration to be closed.',
    default: DEFAULTS['members-only'],
    private: true
  })
  registerSetting({
    name: 'browser-suggestions',
    label: 'Suggestions in the browser for people who are not logged in',
    type: 'input-checkbox',
    descriptionHTML: 'On: this plugin offers vectors of videos for download by anybody, and browsers rank them by the ' +
      'watch history that PeerTube keeps in them. The history is sent nowhere; the server only sees which videos a ' +
      'browser then asks for. Needs a model whose sum was proposed with publication. Every viewer can switch it off.',
    default: DEFAULTS['browser-suggestions'],
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
    descriptionHTML: 'Viewers are told which of the two applies. Those who switched their history off never take part. ' +
      '"Unless they refuse" also needs the confirmation below.',
    default: DEFAULTS.consent,
    // What is selected may not be what holds; viewers are told that by /viewer/v1/about.
    private: true
  })
  registerSetting({
    name: 'invitation',
    label: 'Ask viewers whether they take part',
    type: 'input-checkbox',
    descriptionHTML: 'On: logged-in viewers who have not chosen are asked below the suggestions on the watch page, once ' +
      'a year at most. Only where viewers take part only after they agreed.',
    default: DEFAULTS.invitation,
    private: true
  })
  registerSetting({
    name: 'opt-out-confirmation',
    label: 'Confirmation for "unless they refuse"',
    type: 'input',
    descriptionHTML: 'Under European law consent is an active choice, and silence is none (GDPR, articles 4(11) and 7). ' +
      'Likes and watched videos can reveal beliefs, health or sexual orientation, which need explicit consent ' +
      '(article 9). If you still want viewers to take part unasked, type ' +
      '<code>viewers take part without having said yes</code>. Without exactly this sentence, ' +
      'viewers take part only after they agreed.',
    default: DEFAULTS['opt-out-confirmation'],
    private: true
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
    descriptionHTML: 'Generated here, and part of the pairing code above. Type another of at least ' +
      `${MIN_SECRET} characters, without spaces, to change it; emptied, the generated one holds again. A daemon that is ` +
      'already set up needs the new one as <code>source.secret</code> in its shoal.toml.',
    default: settings.generated,
    private: true
  })
}

/**
 * The code that `shoal init` asks for.
 *
 * @param {(setting: import('@peertube/peertube-types').RegisterServerSettingOptions) => void} registerSetting
 * @param {Settings} settings
 * @param {import('@peertube/peertube-types').PeerTubeHelpers['config']} config
 */
function declarePairing (registerSetting, settings, config) {
  registerSetting({
    name: 'pairing',
    type: 'html',
    html: '<p><strong>Pairing code</strong>: beside the daemon, run <code>shoal init</code> and paste this code when it ' +
      'asks. Keep it to yourself: it holds the secret below, which lets a program read what viewers who take part ' +
      'watched.</p>',
    private: true
  })
  // Apart from the text: PeerTube translates a setting as a whole.
  const html = () => {
    const { secret } = settings.values
    return secret ? `<pre><code>${pairingCode(secret, addressesOf(config))}</code></pre>` : ''
  }
  // PeerTube keeps the object, and reads it whenever the page is opened.
  const code = { name: 'pairing-code', type: /** @type {const} */ ('html'), html: html(), private: true }
  registerSetting(code)
  settings.onChange(() => { code.html = html() })
}

module.exports = { Settings, declare }
