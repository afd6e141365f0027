'use strict'

const { createHash } = require('node:crypto')

const PREFIX = 'shoal1_'
const CHECK = 4
const ANY = ['', '::', '0.0.0.0']

/**
 * All that a daemon needs to reach this PeerTube, as one word to copy: the prefix, and in base64url the first bytes of
 * the SHA-256 of what follows, the secret, and addresses after spaces, the nearest first. The check makes a code
 * that was cut off, or misread, no code at all.
 *
 * @param {string} secret
 * @param {string[]} addresses
 */
function pairingCode (secret, addresses) {
  const content = Buffer.from([secret, ...addresses].join(' '))
  const check = createHash('sha256').update(content).digest().subarray(0, CHECK)
  return PREFIX + Buffer.concat([check, content]).toString('base64url')
}

/**
 * Where PeerTube can be reached: by a daemon on the same machine, past the web server, then by everybody.
 *
 * @param {Pick<import('@peertube/peertube-types').PeerTubeHelpers['config'],
 *              'getWebserverUrl' | 'getServerListeningConfig'>} config
 */
function addressesOf (config) {
  const { hostname, port } = config.getServerListeningConfig()
  const bare = hostname ?? ''
  const host = ANY.includes(bare) ? '127.0.0.1' : bare.includes(':') ? `[${bare}]` : bare
  return [...new Set([`http://${host}:${port}`, config.getWebserverUrl()])]
}

module.exports = { pairingCode, addressesOf }
