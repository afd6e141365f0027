/** The daemon's page, handed on to administrators: its files and nothing else, one version at a time. */
import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'

import { asItStands, fixture } from './fixture.js'

const VERSION = '0123456789abcdef'.repeat(2)
const FILES = {
  'mounted.js': ['export const one = 1', 'text/javascript; charset=utf-8'],
  'tabs/peers.js': ['export {}', 'text/javascript; charset=utf-8'],
  'lib/controls.css': ['a { color: inherit }', 'text/css; charset=utf-8'],
  'languages/fr/overview.json': ['{"a": "é"}', 'application/json; charset=utf-8'],
  'standalone/icon.svg': ['<svg/>', 'image/svg+xml']
}

describe('the daemon\'s page inside PeerTube', () => {
  let world, admin, user
  before(async () => {
    world = await fixture()
    admin = await world.seed.user('admin', { role: 0 })
    user = await world.seed.user('user')
  })
  after(() => world.close())
  beforeEach(() => {
    world.daemon.asked.length = 0
    world.daemon.answers.clear()
    world.daemon.on('/admin/page.json', () => ({ version: VERSION }))
    for (const [name, [content]] of Object.entries(FILES)) {
      world.daemon.on(`/admin/${VERSION}/${name}`, (_request, response) => {
        response.setHeader('content-type', 'text/html').setHeader('set-cookie', 'a=b').end(content)
      })
    }
  })
  const opened = async () => (await world.call('GET', 'admin/v1/page', { user: admin })).body.path
  const file = path => world.host.fetch(world.host.base + path)

  test('is at an address that administrators alone are told', async () => {
    for (const other of [undefined, user]) {
      assert.ok([401, 403].includes((await world.call('GET', 'admin/v1/page', { user: other })).status))
    }
    assert.equal(world.daemon.asked.length, 0)
    const path = await opened()
    assert.match(path, new RegExp(`^admin/v1/page/${VERSION}-[0-9a-f]{32}$`))
    assert.equal(await opened(), path, 'so that browsers keep the files')
    assert.ok(!path.includes(world.host.secret.slice(0, 32)))
  })

  test('comes with types that are decided here, to be kept, without a token', async () => {
    const path = await opened()
    for (const [name, [content, type]] of Object.entries(FILES)) {
      const response = await file(`${path}/${name}`)
      assert.deepEqual([response.status, await response.text(), response.headers.get('content-type')], [200, content, type])
      assert.equal(response.headers.get('cache-control'), 'private, max-age=31536000, immutable')
      assert.equal(response.headers.get('x-content-type-options'), 'nosniff')
      assert.equal(response.headers.get('set-cookie'), null)
    }
    assert.ok(world.daemon.asked.every(({ method, body }) => method === 'GET' && body.length === 0))
  })

  test('asks the daemon for nothing without the mark of an administrator', async () => {
    const path = await opened()
    const [, mark] = path.split('-')
    const other = mark.replace(/^./, first => first === '0' ? '1' : '0')
    world.daemon.asked.length = 0
    for (const at of [VERSION, `${VERSION}-`, `${VERSION}-${other}`, `${'f'.repeat(32)}-${mark}`, `${VERSION}-${mark}0`,
      `${VERSION}-${mark.toUpperCase()}`, `-${mark}`, '', 'constructor']) {
      const response = await file(`admin/v1/page/${at}/mounted.js`)
      assert.equal(response.status, 404, at)
      assert.equal(response.headers.get('cache-control'), 'no-store')
      assert.match((await response.json()).error, /open the page anew/)
    }
    assert.equal(world.daemon.asked.length, 0)
  })

  test('leads to files of the page alone', async () => {
    const path = await opened()
    world.daemon.asked.length = 0
    for (const name of ['', '/', 'tabs', 'tabs/', '../page.json', '..%2f..%2fv1%2fstatus.json', '%2e%2e/%2e%2e/v1/a.json', '/etc/passwd.js',
      '.env.js', 'a//b.js', 'a/b/c/d/e.js', 'index.html', 'a.wasm', 'a b.js', 'a%00.js', `${'x'.repeat(200)}.js`]) {
      assert.equal((await file(`${path}/${name}`)).status, 404, name)
    }
    for (const name of ['../../../v1/status.json', 'tabs/../peers.js', '%2e%2e/a.js', 'a%5cb.js', 'a\\b.js']) {
      assert.equal(await asItStands(world.host, `${path}/${name}`), 404, name)
    }
    for (const method of ['POST', 'PUT', 'DELETE']) {
      assert.equal((await world.call(method, `${path}/mounted.js`, { user: admin })).status, 404, method)
    }
    assert.equal(world.daemon.asked.length, 0)
  })

  test('a daemon that is away, older, updated or strange is told of with what to do', async () => {
    const path = await opened()
    const asks = () => world.call('GET', 'admin/v1/page', { user: admin })
    for (const [answer, code, advice] of [
      [(_request, response) => response.destroy(), 'daemon-away', /Start it/],
      [(_request, response) => { response.end('<html>') }, 'daemon-away', /Start it/],
      [() => ({ version: '../x' }), 'daemon-away', /Start it/],
      [(_request, response) => { response.writeHead(404).end('{}') }, 'daemon-old', /update it/]
    ]) {
      world.daemon.on('/admin/page.json', answer)
      const { status, body } = await asks()
      assert.deepEqual([status, body.code], [502, code])
      assert.match(body.advice, advice)
    }
    for (const [answer, status] of [
      [(_request, response) => response.destroy(), 502],
      [(_request, response) => { response.end('x'.repeat(300 * 1024)) }, 502],
      [(_request, response) => { response.writeHead(302, { location: '/v1/status' }).end() }, 502],
      [(_request, response) => { response.writeHead(404).end('{}') }, 404]
    ]) {
      world.daemon.on(`/admin/${VERSION}/mounted.js`, answer)
      const response = await file(`${path}/mounted.js`)
      assert.equal(response.status, status)
      assert.equal(response.headers.get('cache-control'), 'no-store', 'a failure is not kept')
    }
    assert.ok(!JSON.stringify(world.host.logs).includes('127.0.0.1'))
  })
})
