import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'

import { ManualClock } from '../host/clock.js'
import { asItStands, fixture, until } from './fixture.js'

const BASE = 'admin/v1/control/'

describe('what an administrator asks and orders', () => {
  let world, admin, clock
  before(async () => {
    clock = new ManualClock()
    world = await fixture({ parts: { clock } })
    admin = await world.seed.user('admin', { role: 0 })
  })
  after(() => world.close())
  beforeEach(() => {
    world.daemon.asked.length = 0
    world.daemon.answers.clear()
    world.host.logs.length = 0
  })
  const get = path => world.call('GET', BASE + path, { user: admin })
  const post = (path, json = {}) => world.call('POST', BASE + path, { user: admin, json })

  test('reaches the daemon with the secret, and its answer comes back as it is', async () => {
    const overview = { host: 'here.example', notices: [{ sentence: '<b>é</b>' }], model: null }
    world.daemon.on('/v1/admin/overview', () => overview)
    const { status, body } = await get('overview')
    assert.equal(status, 200)
    assert.deepEqual(body, overview)
    const [{ method, headers }] = world.daemon.asked
    assert.equal(method, 'GET')
    assert.equal(headers['x-shoal-secret'], world.host.secret)
    assert.equal(headers.authorization, undefined, 'the PeerTube token stays here')
  })

  test('is whatever the daemon knows: its page and its API are of one version', async () => {
    world.daemon.on('/v1/admin/of/tomorrow', () => ({ new: true }))
    assert.deepEqual((await get('of/tomorrow?after=12&q=%C3%A9%26limit%3D1')).body, { new: true })
    const [{ url }] = world.daemon.asked
    assert.equal(url.pathname, '/v1/admin/of/tomorrow')
    assert.deepEqual([...url.searchParams], [['after', '12'], ['q', 'é&limit=1']])
    assert.equal((await get(`videos?q=${'x'.repeat(2001)}`)).status, 414)
    assert.equal((await get('unknown')).status, 404, 'as the daemon says')
    for (const method of ['PUT', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS']) {
      assert.equal((await world.call(method, `${BASE}peers`, { user: admin })).status, 405, method)
    }
    assert.equal(world.daemon.asked.length, 2)
  })

  test('names hosts and models in the path, and leads nowhere but to the admin API', async () => {
    for (const [path, at] of [['group/members/far.example%3A8443/eject', 'group/members/far.example%3A8443/eject'],
      ['peers/a.example:8443/approve', 'peers/a.example%3A8443/approve'], ['models/20261121-090000-federated-a1b2c3/accept',
        'models/20261121-090000-federated-a1b2c3/accept']]) {
      world.daemon.on(`/v1/admin/${at}`, () => ({}))
      assert.equal((await post(path, { key: 'ed25519:AA', max_users: 50 })).status, 200, path)
    }
    assert.deepEqual(JSON.parse(world.daemon.asked[0].body), { key: 'ed25519:AA', max_users: 50 })
    world.daemon.asked.length = 0
    for (const path of ['', '/', 'peers//approve', 'peers/', '..%2Fviewers%2Fforget', 'peers/..%2F..%2Fviewers/approve', 'peers/a%20b/pause',
      '%2e%2e%2fstatus', '...', 'peers/a%3Fb/pause', 'peers/a%23b/revert', 'peers/a%5Cb/pause', 'peers/%00/pause',
      'peers/%E0%A4%A/pause', 'peers/%C3%A9/pause', 'peers/a%40b/pause', `peers/${'a'.repeat(256)}/pause`, 'a/b/c/d/e/f/g']) {
      assert.equal((await post(path)).status, 400, path)
      assert.equal((await get(path)).status, 400, path)
    }
    // As no browser sends it.
    for (const path of ['../../v1/status', '..', './overview', '.%2e/status', 'peers/../../status']) {
      assert.equal(await asItStands(world.host, BASE + path, admin), 400, path)
    }
    assert.equal(world.daemon.asked.length, 0)
  })

  test('is a JSON object of at most 100 kB', async () => {
    world.daemon.on('/v1/admin/peers', () => ({}))
    assert.equal((await post('peers', { host: 'x'.repeat(100 * 1024) })).status, 413)
    assert.equal((await post('peers', [1])).status, 400)
    const form = await world.host.fetch(world.host.base + BASE + 'peers', {
      method: 'POST', user: admin, body: 'host=a.example', headers: { 'content-type': 'application/x-www-form-urlencoded' }
    })
    assert.equal(form.status, 415)
    assert.equal(world.daemon.asked.length, 0)
    assert.equal((await post('peers', { host: 'é'.repeat(45_000) })).status, 200)
  })

  test('is refused in the daemon\'s words', async () => {
    const said = { code: 'peer-unknown', message: 'a.example is no peer', advice: 'Add it first.' }
    world.daemon.on('/v1/admin/peers/a.example/approve', (_request, response) => {
      response.writeHead(404).end(JSON.stringify(said))
    })
    const { status, body } = await post('peers/a.example/approve', { key: 'k' })
    assert.equal(status, 404)
    assert.deepEqual(body, said)

    // A wrong secret is no reason to log the administrator out.
    for (const code of [401, 403]) {
      world.daemon.on('/v1/admin/peers', (_request, response) => {
        response.writeHead(code).end(JSON.stringify({ code: 'admin-refused', message: 'no', advice: 'Check the secret.' }))
      })
      const refused = await get('peers')
      assert.deepEqual([refused.status, refused.body.code], [502, 'admin-refused'])
    }
  })

  test('a daemon that is away, answers nonsense or too much is a 502 that says what to do', async () => {
    const answers = [
      (_request, response) => response.destroy(),
      (_request, response) => { response.end('<html>') },
      (_request, response) => { response.end('') },
      (_request, response) => { response.end(`"${'x'.repeat(2 * 1024 * 1024)}"`) },
      (_request, response) => { response.writeHead(302, { location: '/v1/status' }).end() }
    ]
    for (const answer of answers) {
      world.daemon.on('/v1/admin/models', answer)
      const { status, body } = await get('models')
      assert.deepEqual([status, body.code], [502, 'daemon-away'], String(answer))
      assert.match(body.advice, /Start it/)
    }
    assert.match(world.host.logs[0].message, /^the daemon did not answer an administrator/)
    assert.ok(!JSON.stringify(world.host.logs).includes('127.0.0.1'))
  })

  test('a slow daemon is waited for: a minute for a question, five for an order', async () => {
    const never = () => new Promise(() => {})
    world.daemon.on('/v1/admin/share', never).on('/v1/admin/peers/a.example/revert', never)
    for (const [ask, seconds] of [[() => get('share'), 60], [() => post('peers/a.example/revert', { dry_run: true }), 300]]) {
      const before = world.daemon.asked.length
      let answered
      const answer = ask().then(found => { answered = found })
      await until(() => world.daemon.asked.length > before)
      clock.advance(seconds * 1000 - 1)
      await new Promise(resolve => setImmediate(resolve))
      assert.equal(answered, undefined)
      clock.advance(1)
      await answer
      assert.deepEqual([answered.status, answered.body.code], [504, 'daemon-slow'])
    }
    assert.equal(clock.waiting, 0)
  })
})
