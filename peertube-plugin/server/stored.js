'use strict'

const { randomBytes } = require('node:crypto')

/**
 * What PeerTube's own row for the plugin holds. It is read from the primary database each time: another server process
 * may have changed it a moment ago, and a read replica may not know yet.
 *
 * @typedef {import('./sql.js').Query} Query
 * @typedef {{ saved: Record<string, unknown>, secret: string, key: string }} Content `saved`: the settings as they were
 *   saved; `key`: of the pseudonyms, 64 hexadecimal digits
 */

const SECRET = 'secret'
const KEY = 'pseudonym-key'
const LEDGER = 'ledger'
const WHERE = 'name = \'shoal\' AND type = 1'

class Stored {
  #query
  #storage
  /** @type {((content: Content) => void)[]} */
  #listeners = []
  #erased = false

  /**
   * @param {Query} query
   * @param {import('@peertube/peertube-types').PluginStorageManager} storage
   * @param {Content} content
   */
  constructor (query, storage, content) {
    this.#query = query
    this.#storage = storage
    this.content = content
  }

  /**
   * Read it, after making a secret and a key where there are none. Processes that start at once agree on one of each.
   *
   * @param {Query} query
   * @param {import('@peertube/peertube-types').PluginStorageManager} storage
   */
  static async open (query, storage) {
    const lacks = (/** @type {string} */ name) => `COALESCE(storage->>'${name}', '') = ''`
    const made = (/** @type {string} */ name, /** @type {string} */ value) =>
      `CASE WHEN ${lacks(name)} THEN jsonb_build_object('${name}', ${value}::text) ELSE '{}'::jsonb END`
    await query(
      `UPDATE plugin SET storage = COALESCE(storage, '{}'::jsonb) || ${made(SECRET, '$1')} || ${made(KEY, '$2')}
       WHERE ${WHERE} AND (${lacks(SECRET)} OR ${lacks(KEY)})`,
      { bind: [randomBytes(24).toString('base64url'), randomBytes(32).toString('hex')] })
    const content = await read(query)
    if (!content) throw new Error('PeerTube has no row for this plugin')
    return new Stored(query, storage, content)
  }

  /** Whether everything was erased, in this process or in another, and nothing was begun anew. */
  get erased () {
    return this.#erased
  }

  /** @param {(content: Content) => void} listener called after another process changed something */
  onChange (listener) {
    this.#listeners.push(listener)
  }

  /** Read it again. Never rejects: while the database fails, what was read last holds. */
  async refresh () {
    let content
    try {
      content = await read(this.#query)
    } catch {
      return
    }
    const isSame = content && !this.#erased && JSON.stringify(content) === JSON.stringify(this.content)
    if (isSame || (!content && this.#erased)) return
    this.#erased = !content
    if (content) this.content = content
    for (const listener of this.#listeners) listener(this.content)
  }

  /** How far the daemon's ledger had come, as it was kept last. @returns {Promise<import('./ledger-seen.js').Seen | null>} */
  async ledger () {
    return (await row(this.#query))?.storage?.[LEDGER] || null
  }

  /** @param {import('./ledger-seen.js').Seen} seen */
  async keepLedger (seen) {
    await this.#storage.storeData(LEDGER, seen)
  }

  /** Leave neither secret nor key behind; other processes see by that that everything was erased. */
  async erase () {
    await this.#storage.storeData(LEDGER, '')
    await this.#storage.storeData(SECRET, '')
    await this.#storage.storeData(KEY, '')
    this.#erased = true
  }
}

/** @param {Query} query @returns {Promise<Content | null>} null: erased, or uninstalled for good */
async function read (query) {
  const found = await row(query)
  const { [SECRET]: secret, [KEY]: key } = found?.storage ?? {}
  if (typeof secret !== 'string' || !secret || typeof key !== 'string' || !/^[0-9a-f]{64}$/.test(key)) return null
  return { saved: found.settings ?? {}, secret, key }
}

/** @param {Query} query @returns {Promise<any>} */
async function row (query) {
  const [found] = await query(`SELECT settings, storage FROM plugin WHERE ${WHERE}`,
    { bind: [], type: 'SELECT', useMaster: true })
  return found
}

module.exports = { Stored }
