'use strict'

const { RouteError } = require('./guards.js')

const MAX_EACH = 1000
const HOST = /^(?=.{1,255}$)[a-z0-9-]+(?:\.[a-z0-9-]+)*(?::\d{1,5})?$/

/**
 * The administrator's routes: diagnostics, exclusions, erasing everything.
 *
 * @typedef {import('./consent.js').Exclusion} Exclusion
 */
class AdminRoutes {
  /**
   * @param {{ consent: import('./consent.js').Consent, exclusions: import('./exclusions.js').Exclusions,
   *           diagnostics: import('./diagnostics.js').Diagnostics, erase: () => Promise<string[]>,
   *           isErased: () => boolean }} parts
   */
  constructor ({ consent, exclusions, diagnostics, erase, isErased }) {
    this.isErased = isErased
    this.consent = consent
    this.exclusions = exclusions
    this.diagnostics = diagnostics
    this.erase = erase
  }

  /** @param {import('express').Router} router @param {import('./guards.js').Guards} guards */
  mount (router, guards) {
    router.get('/admin/v1/diagnostics', guards.admin(async (_req, res) => { res.json(await this.diagnostics.run()) }))
    router.get('/admin/v1/exclusions', guards.admin(async (_req, res) => {
      this.#mustHaveTables()
      res.json(await this.exclusions.admins())
    }))
    router.put('/admin/v1/exclusions', guards.admin(async (req, res) => {
      this.#mustHaveTables()
      await this.consent.replaceExclusions(read(req.body))
      res.json(await this.exclusions.admins())
    }))
    router.post('/admin/v1/erase', guards.admin(async (req, res) => {
      if (req.body?.confirm !== 'erase') throw new RouteError(400, 'Confirm with {"confirm": "erase"}.')
      res.json({ erased: await this.erase() })
    }))
  }

  #mustHaveTables () {
    if (this.isErased()) throw new RouteError(410, 'Everything was erased; the plugin is about to be uninstalled.')
  }
}

/** @param {any} body @returns {Exclusion[]} */
function read (body) {
  const list = (/** @type {string} */ name, /** @type {(text: string) => string | undefined} */ parse) => {
    const given = body?.[name] ?? []
    if (!Array.isArray(given) || given.length > MAX_EACH) {
      throw new RouteError(400, `${name} is a list of at most ${MAX_EACH}.`)
    }
    return given.map(text => {
      const value = typeof text === 'string' && text.length <= 2000 ? parse(text.trim()) : undefined
      if (!value) throw new RouteError(400, `${name} holds something that is not usable: ${String(text).slice(0, 100)}`)
      return value
    })
  }
  return [
    ...list('channels', address).map(value => ({ kind: /** @type {const} */ ('channel'), value })),
    ...list('hosts', host).map(value => ({ kind: /** @type {const} */ ('host'), value })),
    ...list('videos', address).map(value => ({ kind: /** @type {const} */ ('video'), value }))
  ]
}

/** @param {string} text */
function address (text) {
  try {
    return ['http:', 'https:'].includes(new URL(text).protocol) ? text : undefined
  } catch {
    return undefined
  }
}

/** @param {string} text */
function host (text) {
  const lower = text.toLowerCase()
  return HOST.test(lower) ? lower : undefined
}

module.exports = { AdminRoutes }
