'use strict'

const { constants, sign } = require('node:crypto')

const { hostOf } = require('./exclusions.js')
const { RouteError } = require('./guards.js')

// Nothing else that the actor's key signs begins like this, and nothing a caller chose is ever signed.
const PREFIX = 'shoal/2 instance card\0'
const KEY = /^ed25519:[A-Za-z0-9+/]{43}=$/

/**
 * The instance's card for peers: the daemon's key, and a statement by the instance's ActivityPub actor that this key
 * speaks for this host. RSASSA-PSS (RFC 8017) with SHA-256 and a salt as long as the hash, over PREFIX and the
 * statement, verifiable with the `publicKeyPem` of the actor.
 */
class InstanceCard {
  /** @type {{ statement: string, signature: string } | undefined} */
  #signed

  /**
   * @param {{ daemon: import('./daemon.js').Daemon, clock: import('./clock.js').Clock,
   *           helpers: Pick<import('@peertube/peertube-types').PeerTubeHelpers, 'server' | 'config'> }} parts
   */
  constructor ({ daemon, clock, helpers }) {
    this.daemon = daemon
    this.clock = clock
    this.helpers = helpers
  }

  /** @param {import('express').Router} router @param {import('./guards.js').Guards} guards */
  mount (router, guards) {
    router.get('/federation/v1/card', guards.everybody(async (_req, res) => {
      const card = await this.card().catch(() => {
        throw new RouteError(503, 'This instance has no card to show just now; try again later.')
      })
      res.json(card)
    }))
  }

  async card () {
    const { version, host, key } = await this.daemon.card()
    if (!Number.isInteger(version) || typeof key !== 'string' || !KEY.test(key)) throw new Error('the daemon\'s card is not usable')
    if (host !== hostOf(this.helpers.config.getWebserverUrl())) throw new Error('the daemon is set up for another host')
    const actor = await this.helpers.server.getServerActor()
    const statement = JSON.stringify({ actor: actor.url, host, key, date: this.clock.today() })
    if (this.#signed?.statement !== statement) {
      this.#signed = { statement, signature: signature(statement, actor.privateKey) }
    }
    return { version, host, key, actor: actor.url, ...this.#signed }
  }
}

/** @param {string} statement @param {string} privateKey PEM */
function signature (statement, privateKey) {
  const padding = constants.RSA_PKCS1_PSS_PADDING
  const saltLength = constants.RSA_PSS_SALTLEN_DIGEST
  return sign('sha256', Buffer.from(PREFIX + statement), { key: privateKey, padding, saltLength }).toString('base64')
}

module.exports = { InstanceCard, PREFIX }
