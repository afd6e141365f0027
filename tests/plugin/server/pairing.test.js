import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { after, before, describe, test } from 'node:test'

import { createHost } from '../host/host.js'
import { fixture } from './fixture.js'

const require = createRequire(import.meta.url)
const { addressesOf, pairingCode } = require('../../../peertube-plugin/server/pairing-code.js')
// tests/daemon/source/test_pairing_code.py reads the same codes.
const CODES = JSON.parse(readFileSync(new URL('../pairing-codes.json', import.meta.url), 'utf8'))

test('a code is what the daemon reads', () => {
  for (const { secret, addresses, code } of CODES) assert.equal(pairingCode(secret, addresses), code)
})

test('the address past the web server comes first', () => {
  const at = (hostname, port = 9000, web = 'https://tube.example') => addressesOf({
    getServerListeningConfig: () => ({ hostname, port }), getWebserverUrl: () => web
  })
  for (const any of ['127.0.0.1', '::', '0.0.0.0', '', null]) {
    assert.deepEqual(at(any), ['http://127.0.0.1:9000', 'https://tube.example'])
  }
  assert.deepEqual(at('::1', 9001), ['http://[::1]:9001', 'https://tube.example'])
  assert.deepEqual(at('10.0.0.7', 80), ['http://10.0.0.7:80', 'https://tube.example'])
  assert.deepEqual(at('127.0.0.1', 9000, 'http://127.0.0.1:9000'), ['http://127.0.0.1:9000'])
})

/** The code on the settings page, '' where there is none. */
function shown (host) {
  const { html } = host.declared.find(({ name }) => name === 'pairing-code')
  return /<code>(.*)<\/code>/.exec(html)?.[1] ?? ''
}

/** Secret and addresses in a code. */
function parts (code) {
  const [secret, ...addresses] = Buffer.from(code.slice('shoal1_'.length), 'base64url').subarray(4).toString().split(' ')
  return { secret, addresses }
}

describe('the settings page', () => {
  let world
  before(async () => { world = await fixture() })
  after(() => world.close())

  test('shows the code of the secret that holds, and nobody else sees it', async () => {
    const { host } = world
    assert.deepEqual(parts(shown(host)), { secret: host.secret, addresses: [host.url] })
    const own = 'of-the-admin\'s-own-choice'
    await host.save({ ...host.saved, secret: own })
    assert.equal(parts(shown(host)).secret, own)
    assert.equal((await world.export('status')).status, 200)
    for (const unusable of ['short', 'with spaces in between', 'x'.repeat(201), 'é'.repeat(20)]) {
      await host.save({ ...host.saved, secret: unusable })
      assert.equal(shown(host), '', unusable)
    }
    await host.save({ ...host.saved, secret: '' })
    assert.equal(parts(shown(host)).secret, (await host.stored()).secret)
    assert.ok(!JSON.stringify(host.publicSettings()).includes('shoal1_'))
    assert.deepEqual(host.declared.filter(({ name }) => !name), [], 'PeerTube keeps one setting of a name')
  })
})

test('a daemon on the same machine needs no setting at all', async () => {
  const host = await createHost({ shared: true, saved: null })
  try {
    await host.load()
    const defaults = Object.fromEntries(host.declared.map(setting => [setting.name, setting.default]))
    assert.equal(defaults['daemon-url'], 'http://127.0.0.1:9731')
    assert.equal(parts(shown(host)).secret, host.secret)
  } finally {
    await host.close()
  }
})
