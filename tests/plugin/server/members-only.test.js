import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'

import { ManualClock } from '../host/clock.js'
import { madeVectors } from '../host/vectors.js'
import { fixture, shown } from './fixture.js'

const REASON = { kind: 'together', text: 'x', users: 9, tags: [] }
const CLOSED = { allowed: false, requiresApproval: false }
const NO_LOGINS = { registered: [], registeredExternalAuths: [], registeredIdAndPassAuths: [] }

for (const major of [7, 8]) {
  describe(`lists for members only on PeerTube ${major}`, () => {
    let world, current, videos, stock, anna, admin
    before(async () => {
      world = await fixture({ major, parts: { clock: new ManualClock() } })
      const { seed, creator } = world
      current = await seed.video(creator.channel, { tags: ['sea'] })
      videos = []
      for (let i = 0; i < 8; i++) videos.push(await seed.video(creator.channel, { tags: ['wind'] }))
      stock = await seed.video(creator.channel, { tags: ['sea'] })
      anna = await seed.user('anna')
      admin = await seed.user('admin', { role: 0 })
      world.daemon.on('/v1/vectors', (_request, response) => {
        response.writeHead(200, { 'content-type': 'application/octet-stream' }).end(madeVectors({ count: 20 }))
      })
    })
    after(() => world.close())
    beforeEach(async () => {
      world.host.signup = { allowed: true, requiresApproval: false }
      world.host.logins = NO_LOGINS
      exact(undefined)
      world.daemon.on('/v1/status', () => ({ mode: 'off', source: { exact_own: false } }))
      await save({ 'members-only': false })
      world.daemon.asked.length = 0
    })
    const save = values => world.host.save({
      ...world.host.saved, 'related-list': true, 'browser-suggestions': true, ...values
    })
    const exact = (value, from = 0) => world.daemon.on('/v1/related', () => ({
      model: 'm1', exact: value, videos: videos.slice(from).map(({ uuid, url }) => ({ uuid, url, reason: REASON }))
    }))
    const list = (user, language) => shown(world, current.uuid, { tags: ['sea'], user, language })
    const suggested = () => videos.slice(0, 7).map(({ uuid }) => uuid)
    const stockList = () => [stock.uuid, current.uuid]
    const reasons = async user => {
      const { status, body } = await world.call('GET', `why/v1/reasons?video=${current.uuid}`, { user })
      assert.equal(status, 200)
      return Object.keys(body.reasons).length
    }
    const vectors = async user => (await world.host.fetch(`${world.host.base}browser/v1/vectors`, { user })).status
    const audience = async () => {
      const { body } = await world.call('GET', 'admin/v1/diagnostics', { user: admin })
      return body.checks.find(({ id }) => id === 'audience')
    }

    test('is off until the admin turns it on', async () => {
      assert.equal(world.host.declared.find(({ name }) => name === 'members-only').default, false)
      assert.deepEqual(await list(), suggested())
      assert.equal(await reasons(), 8)
      assert.equal(await vectors(), 200)
      assert.match((await audience()).message, /Everybody/)
    })

    test('leaves everybody else with PeerTube\'s own list, and tells the daemon nothing', async () => {
      for (const on of [true, 'true']) {
        await save({ 'members-only': on })
        world.daemon.asked.length = 0
        assert.deepEqual(await list(), stockList())
        assert.deepEqual(world.daemon.asked, [])
        assert.equal(await vectors(), 204)
        assert.equal(await vectors(anna), 204, 'they are cached for everybody')
        assert.deepEqual(await list(anna), suggested())
        assert.deepEqual(await list(), stockList(), 'what is kept is not for them either')
        assert.equal(await reasons(anna), 8)
        assert.equal(await reasons(), 0)
        assert.match((await audience()).message, /Only logged-in members/)
        for (let i = 0; i < 12; i++) await list()
        const { body } = await world.call('GET', 'admin/v1/diagnostics', { user: admin })
        assert.notEqual(body.checks.find(({ id }) => id === 'related').ok, false, 'nothing is wrong with the daemon')
      }
    })

    test('holds at once for what was shown before', async () => {
      await list()
      assert.equal(await reasons(), 8)
      await save({ 'members-only': true })
      assert.deepEqual(await list(), stockList())
      assert.equal(await reasons(), 0)
      assert.equal(await vectors(), 204)
    })

    test('holds for lists from exact numbers whatever the setting says', async () => {
      exact(true)
      await save({ 'members-only': true })
      assert.deepEqual(await list(anna), suggested())
      // The daemon hears of it with its next check only.
      await save({ 'members-only': false })
      assert.deepEqual(await list(), stockList())
      assert.deepEqual(await list(anna), suggested())
      assert.deepEqual(await list(), stockList())
      assert.equal(await reasons(anna), 8)
      assert.equal(await reasons(), 0)
    })

    test('holds for the reasons of such a list while another model makes others', async () => {
      exact(true)
      await list(anna, 'fr')
      exact(false, 5)
      assert.equal((await list(undefined, 'de')).length, 3)
      assert.equal(await reasons(), 3)
    })

    test('and closed registration are what the daemon calls closed', async () => {
      const closed = async () => (await world.export('status')).body.closed
      assert.equal(await closed(), false)
      world.host.signup = CLOSED
      assert.equal(await closed(), false, 'everybody sees lists')
      await save({ 'members-only': true })
      assert.equal(await closed(), true)
      for (const signup of [{ allowed: true, requiresApproval: false }, { allowed: true, requiresApproval: true },
        { requiresApproval: true }, { allowed: 'false' }, {}, undefined]) {
        world.host.signup = signup
        assert.equal(await closed(), false, JSON.stringify(signup))
      }
      world.host.signup = CLOSED
      const login = [{ name: 'login', npmName: 'peertube-plugin-auth-openid-connect' }]
      for (const logins of [{ ...NO_LOGINS, registeredExternalAuths: login },
        { ...NO_LOGINS, registeredIdAndPassAuths: login }, { registered: [] }, undefined]) {
        world.host.logins = logins
        assert.equal(await closed(), false, JSON.stringify(logins))
      }
      world.host.logins = NO_LOGINS
      assert.equal(await closed(), true)
      await save({ 'members-only': false })
      assert.equal(await closed(), false)
    })

    test('is named by the diagnostics where exact numbers need it', async () => {
      world.daemon.on('/v1/status', () => ({ mode: 'off', source: { exact_own: true } }))
      const advice = async () => {
        const { ok, advice, message } = await audience()
        assert.equal(ok, advice === '')
        return advice || message
      }
      assert.match(await advice(), /everybody sees suggestions/)
      await save({ 'members-only': true })
      assert.match(await advice(), /close registration/)
      world.host.signup = CLOSED
      assert.match(await advice(), /what single other members watched/)
      world.host.logins = { ...NO_LOGINS, registeredExternalAuths: [{}] }
      assert.match(await advice(), /other programs decide/)
    })
  })
}
