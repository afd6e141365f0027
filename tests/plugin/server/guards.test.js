import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'

import { fixture } from './fixture.js'

const HASH = '0'.repeat(64)
const DAEMON = [['GET', 'status'], ['GET', 'videos'], ['GET', 'engagements?kind=rates&upto=1'], ['GET', 'participants?rates=1&history=1'],
  ['GET', 'exclusions'], ['GET', 'effects'], ['GET', 'ledger'],
  ['POST', `ledger?begun=${HASH}&entries=1&head=${HASH}&decisions=0&decision=`]]
const VIEWER = [['GET', 'viewer/v1/choice'], ['PUT', 'viewer/v1/choice'],
  ['GET', 'viewer/v1/invitation'], ['DELETE', 'viewer/v1/invitation'],
  ['GET', 'viewer/v1/discovery'], ['PUT', 'viewer/v1/discovery'], ['GET', 'viewer/v1/known'],
  ['POST', 'viewer/v1/withdraw'], ['GET', 'viewer/v1/hidden'], ['POST', 'viewer/v1/hidden'],
  ['DELETE', 'viewer/v1/hidden'], ['GET', 'viewer/v1/about'], ['GET', 'owner/v1/channels'], ['PUT', 'owner/v1/channels']]
const ADMIN = [['GET', 'admin/v1/diagnostics'], ['GET', 'admin/v1/exclusions'], ['PUT', 'admin/v1/exclusions'],
  ['POST', 'admin/v1/erase'], ['GET', 'admin/v1/page']]
/** Below these, what there is is up to the daemon. */
const CONTROL = [['GET', 'admin/v1/control/overview'], ['GET', 'admin/v1/control/of/tomorrow'], ['POST', 'admin/v1/control/peers'],
  ['POST', 'admin/v1/control/peers/a.example/revert'], ['PUT', 'admin/v1/control/peers'], ['GET', 'admin/v1/control/..%2Fviewers']]
const BELOW = ['admin/v1/control/', 'admin/v1/page/']
const PUBLIC = [['GET', 'why/v1/reasons'], ['GET', 'federation/v1/card'], ['POST', 'federation/v1/message'],
  ['GET', 'browser/v1/vectors'], ['POST', 'effects/v1/count'], ['GET', 'effects/v1/silent'],
  ['GET', 'recommendations/v1/videos']]

describe('who may use which route', () => {
  let world, user, moderator, admin, blocked
  before(async () => {
    world = await fixture()
    user = await world.seed.user('user')
    moderator = await world.seed.user('moderator', { role: 1 })
    admin = await world.seed.user('admin', { role: 0 })
    blocked = await world.seed.user('blocked', { blocked: true, role: 0 })
  })
  after(() => world.close())

  test('these are all the routes there are', async () => {
    const routes = []
    const { version } = world.host.package
    for (const { route } of world.host.router.stack) {
      if (route) for (const method of Object.keys(route.methods)) routes.push(`${method.toUpperCase()} ${route.path.slice(1)}`)
    }
    const listed = [...DAEMON.map(([method, path]) => [method, `export/v1/${path.split('?')[0]}`]), ...VIEWER, ...ADMIN, ...PUBLIC]
    assert.deepEqual(routes.sort(), listed.map(([method, path]) => `${method} ${path}`).sort())
    const open = world.host.router.stack.filter(({ route, regexp }) => !route && !regexp.fast_slash)
    assert.deepEqual(open.map(({ regexp }) => BELOW.filter(path => regexp.test(`/${path}`))), BELOW.map(path => [path]))
    const versioned = await world.host.fetch(`/plugins/shoal/${version}/router/viewer/v1/choice`, { user })
    assert.equal(versioned.status, 200)
  })

  test('the export answers as if it were not there unless the secret is right', async () => {
    const unknown = await world.call('GET', 'export/v1/unknown')
    assert.equal(unknown.status, 404)
    const { secret } = world.host
    assert.match(secret, /^[\w-]{32}$/)
    for (const [method, path] of DAEMON) {
      assert.equal((await world.call(method, `export/v1/${path}`, { secret: true })).status, 200, path)
      const wrong = [undefined, '', ' ', 'wrong', secret.slice(1), `${secret}0`, secret.toUpperCase(), `${secret}, ${secret}`]
      for (const given of wrong) {
        const headers = given === undefined ? {} : { 'x-shoal-secret': given }
        const { status, text } = await world.call(method, `export/v1/${path}`, { headers, user: admin })
        assert.deepEqual([status, text], [unknown.status, unknown.text], `${path} with ${given}`)
      }
      const { status } = await world.call(method, `export/v1/${path}${path.includes('?') ? '&' : '?'}secret=${secret}`)
      assert.equal(status, 404)
    }
  })

  test('a viewer\'s routes want a viewer', async () => {
    for (const [method, path] of VIEWER) {
      assert.equal((await world.call(method, path)).status, 401, path)
      assert.equal((await world.call(method, path, { secret: true })).status, 401, `${path} with the daemon's secret`)
      assert.equal((await world.call(method, path, { user: blocked })).status, 403, `${path} for the blocked`)
      const { status } = await world.call(method, path, { user })
      assert.ok(![401, 403, 404, 500].includes(status), `${path}: ${status}`)
    }
    const wrong = await world.call('GET', 'viewer/v1/choice', { headers: { authorization: 'Bearer made-up' } })
    assert.equal(wrong.status, 401)
  })

  test('an admin\'s routes want an admin', async () => {
    world.daemon.on('/admin/page.json', () => ({ version: '0'.repeat(32) }))
    for (const [method, path] of CONTROL) {
      assert.equal((await world.call(method, path)).status, 401, path)
      assert.equal((await world.call(method, path, { secret: true })).status, 401, path)
      for (const other of [user, moderator, blocked]) {
        assert.equal((await world.call(method, path, { user: other })).status, 403, path)
      }
    }
    assert.equal(world.daemon.asked.filter(({ url }) => url.pathname.startsWith('/v1/admin/')).length, 0)
    for (const [method, path] of ADMIN) {
      assert.equal((await world.call(method, path)).status, 401, path)
      assert.equal((await world.call(method, path, { secret: true })).status, 401, path)
      for (const other of [user, moderator, blocked]) {
        assert.equal((await world.call(method, path, { user: other })).status, 403, path)
      }
      const { status } = await world.call(method, path, { user: admin })
      assert.equal(status, path.endsWith('erase') ? 400 : 200, path)
    }
  })

  test('no answer is kept by a cache', async () => {
    for (const [method, path] of [...VIEWER, ...ADMIN, ...CONTROL, ...PUBLIC]) {
      const response = await world.host.fetch(world.host.base + path, { method, user })
      assert.equal(response.headers.get('cache-control'), 'no-store', path)
    }
  })

  test('nothing personal was logged', () => {
    const log = JSON.stringify(world.host.logs)
    for (const secret of [world.host.secret, '127.0.0.1', 'user', ...world.host.users.keys()]) {
      assert.ok(!log.includes(secret), secret)
    }
  })

  test('a failing database is an error without details', async () => {
    world.host.queryDelay = () => Promise.reject(new Error('relation "user" at 127.0.0.1, parameters 42'))
    const { status, text } = await world.call('GET', 'owner/v1/channels', { user })
    world.host.queryDelay = undefined
    assert.equal(status, 500)
    assert.deepEqual(JSON.parse(text), { error: 'This did not work; the server\'s log says more.' })
    assert.equal(world.host.logs.at(-1).message, 'a request failed (Error)')
  })
})
