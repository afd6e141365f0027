import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'

import { ManualClock } from '../host/clock.js'
import { createHost } from '../host/host.js'
import { fixture, shown } from './fixture.js'

const MINUTE = 60_000
const NOTHING = {
  pages: 0, explained: 0, clicked: 0, stockClicked: 0, hidden: 0, filled: 0, stock: 0, late: 0, withoutVideo: 0
}

describe('what suggestions achieve', () => {
  let world, clock, viewer, other
  before(async () => {
    clock = new ManualClock()
    world = await fixture({ parts: { clock } })
    viewer = await world.seed.user('viewer')
    other = await world.seed.user('other')
  })
  after(() => world.close())
  beforeEach(async () => {
    clock.today = () => '2026-01-31'
    clock.advance(MINUTE)
    await days()
    await world.database.rows('DELETE FROM plugin_shoal_effect')
  })
  const count = (event, options) => world.call('POST', 'effects/v1/count', { json: { event }, ...options })
  const days = async () => (await world.export('effects')).body.days
  const stored = () => world.database.rows('SELECT e::text AS row FROM plugin_shoal_effect e ORDER BY day')

  test('is counted by day, one event in a request', async () => {
    const events = ['page', 'explained-page', 'explained-page', 'click', 'stock-click', 'hide', 'explained-page']
    for (const event of events) assert.equal((await count(event)).status, 204)
    clock.today = () => '2026-02-01'
    await count('page')
    assert.deepEqual(await days(), [
      { ...NOTHING, day: '2026-01-31', pages: 4, explained: 3, clicked: 1, stockClicked: 1, hidden: 1 },
      { ...NOTHING, day: '2026-02-01', pages: 1 }
    ])
  })

  test('tells no two viewers apart: whoever acted, in any order, the same is stored', async () => {
    const acts = [
      ['page', { user: viewer }], ['stock-click', { user: viewer }], ['page', {}],
      ['explained-page', { user: other }], ['click', { user: other }], ['hide', { user: other }]
    ]
    const swapped = user => user === viewer ? { user: other } : user ? {} : { user: viewer }
    const others = acts.map(([event, { user }]) => [event, swapped(user)])
    const stories = [acts, acts.toReversed(), others, [...others.slice(3), ...others.slice(0, 3)]]
    const found = []
    for (const [place, story] of stories.entries()) {
      world.database.seen.length = 0
      for (const [event, options] of story) {
        await count(event, { ...options, headers: { 'user-agent': `browser ${place}`, referer: `${world.host.url}/w/${place}` } })
        // One of them takes its time, so that it is written in parts.
        if (place === 2) clock.advance(MINUTE)
      }
      await days()
      found.push(await stored())
      const written = world.database.seen.filter(({ sql }) => sql.startsWith('INSERT INTO plugin_shoal_effect'))
      for (const { bind: [day, ...numbers] } of written) {
        assert.equal(day, '2026-01-31')
        assert.ok(numbers.length === 9 && numbers.every(number => Number.isInteger(number) && number <= 3))
      }
      await world.database.rows('DELETE FROM plugin_shoal_effect')
    }
    assert.equal(found[0].length, 1)
    for (const rows of found) assert.deepEqual(rows, found[0])
    const columns = await world.database.rows(
      'SELECT column_name AS name, data_type AS type FROM information_schema.columns WHERE table_name = \'plugin_shoal_effect\'')
    assert.deepEqual(columns.filter(({ type }) => type !== 'bigint'), [{ name: 'day', type: 'date' }])
    assert.deepEqual(columns.map(({ name }) => name).sort(), ['day', ...Object.keys(NOTHING)].sort())
    assert.deepEqual(world.host.logs, [])
  })

  test('is not written when it happens, but once a minute, and when somebody asks', async () => {
    world.database.seen.length = 0
    for (let i = 0; i < 5; i++) await count('page')
    const written = () => world.database.seen.filter(({ sql }) => sql.startsWith('INSERT'))
    assert.deepEqual(written(), [])
    clock.advance(MINUTE)
    await count('page')
    const [{ bind }] = written()
    assert.deepEqual(bind.slice(0, 2), ['2026-01-31', 6])
  })

  test('adds up over server processes, and what cannot be written waits', async () => {
    const second = await createHost({ database: world.database, saved: world.host.saved })
    await second.load({ clock })
    const there = event => second.fetch(`${second.base}effects/v1/count`, { method: 'POST', json: { event } })
    for (let round = 0; round < 5; round++) {
      clock.advance(MINUTE)
      await Promise.all([count('page'), there('page'), there('page'), count('hide'), there('hide')])
    }
    await second.close()
    assert.deepEqual(await days(), [{ ...NOTHING, day: '2026-01-31', pages: 15, hidden: 10 }])

    await count('page')
    world.host.queryDelay = () => Promise.reject(new Error('out of order'))
    assert.equal((await world.export('effects')).status, 500)
    await count('hide')
    world.host.queryDelay = undefined
    assert.deepEqual(await days(), [{ ...NOTHING, day: '2026-01-31', pages: 16, hidden: 11 }])
    assert.equal(world.host.logs.filter(({ message }) => message.includes('could not be written')).length, 1)
    world.host.logs.length = 0
  })

  test('holds what the server did with lists', async () => {
    const [a, b, c] = await Promise.all([1, 2, 3].map(() => world.seed.video(world.creator.channel)))
    world.daemon.suggests([b, c])
    await shown(world, a.uuid)
    await shown(world, a.uuid)
    await shown(world, a.uuid, { referer: null })
    assert.deepEqual(await days(), [{ ...NOTHING, day: '2026-01-31', filled: 2, stock: 1, withoutVideo: 1 }])
  })

  test('leaves out who asks not to be tracked, what is no event, and other sites', async () => {
    for (const headers of [{ dnt: '1' }, { 'sec-gpc': '1' }]) assert.equal((await count('page', { headers })).status, 204)
    const foreign = { headers: { 'sec-fetch-site': 'cross-site' } }
    for (const [event, options] of [['pages'], [undefined], [null], [7], [['page']], ['constructor'], ['page', foreign]]) {
      assert.equal((await count(event, options)).status, 400, String(event))
    }
    assert.equal((await world.call('POST', 'effects/v1/count')).status, 400)
    assert.deepEqual(await days(), [])
    await count('page', { headers: { dnt: '0', 'sec-gpc': '0', 'sec-fetch-site': 'same-origin' } })
    assert.equal((await days())[0].pages, 1)
  })

  test('cannot be flooded: so many at once, and so many on a day', async () => {
    const { Limit } = await import('../../../peertube-plugin/server/guards.js')
    clock.advance(MINUTE)
    const answers = await Promise.all(Array.from({ length: 130 }, () => count('page')))
    assert.equal(answers.filter(({ status }) => status === 204).length, 100)
    assert.match(answers.find(({ status }) => status === 429).body.error, /try again later/)
    clock.advance(500)
    const later = await Promise.all(Array.from({ length: 20 }, () => count('page')))
    assert.equal(later.filter(({ status }) => status === 204).length, 10)
    assert.equal((await days())[0].pages, 110)

    const time = new ManualClock()
    const limit = new Limit(time, { burst: 10, perSecond: 10, perDay: 25 })
    const taken = () => {
      let taken = 0
      for (let second = 0; second < 10; second++) {
        for (let i = 0; i < 20; i++) taken += limit.take()
        time.advance(1000)
      }
      return taken
    }
    assert.equal(taken(), 25)
    time.today = () => '2026-02-01'
    assert.equal(taken(), 25, 'the next day begins anew')
  })

  test('is kept for 400 days', async () => {
    await world.database.rows('INSERT INTO plugin_shoal_effect (day, pages) VALUES (\'2026-01-01\', 1), (\'2026-01-02\', 2)')
    clock.today = () => '2027-02-05'
    assert.deepEqual((await days()).map(({ day }) => day), ['2026-01-02'])
    assert.equal((await stored()).length, 1)
  })

  test('is written when the plugin is unloaded, and gone after erasing', async () => {
    await count('page')
    await world.host.unload()
    await world.host.load({ clock })
    assert.equal((await days())[0].pages, 1)

    const admin = await world.seed.user('admin', { role: 0 })
    await count('page')
    await world.call('POST', 'admin/v1/erase', { user: admin, json: { confirm: 'erase' } })
    assert.equal((await count('page')).status, 204)
    clock.advance(2 * MINUTE)
    await count('page')
    await world.host.unload()
    const tables = await world.database.rows('SELECT 1 FROM information_schema.tables WHERE table_name = \'plugin_shoal_effect\'')
    assert.deepEqual(tables, [])
    assert.deepEqual(world.host.logs, [])
    await world.host.load({ clock })
    assert.deepEqual(await days(), [])
  })
})

describe('the alarm that PeerTube asks for no lists', () => {
  let world, clock, admin, video, other, suggested
  before(async () => {
    clock = new ManualClock()
    world = await fixture({ parts: { clock } })
    admin = await world.seed.user('admin', { role: 0 })
    video = await world.seed.video(world.creator.channel)
    other = await world.seed.video(world.creator.channel)
    const another = await world.seed.video(world.creator.channel)
    world.daemon.suggests([other, another])
    suggested = [other.uuid, another.uuid]
    world.daemon.on('/v1/status', () => ({ mode: 'off', model: { id: 'one' } }))
  })
  after(() => world.close())
  const check = async () => {
    const { body } = await world.call('GET', 'admin/v1/diagnostics', { user: admin })
    return { ...body.checks.find(({ id }) => id === 'related'), counted: body.related }
  }
  const pages = async count => {
    for (let i = 0; i < count; i++) await world.call('POST', 'effects/v1/count', { json: { event: 'page' } })
  }

  /** What is told on a day, when the plugin was just started. */
  const silent = async (day = '2026-02-01') => {
    await world.host.unload()
    await world.host.load({ clock: { ...clock, today: () => day } })
    const found = (await world.call('GET', 'effects/v1/silent')).body.silent
    await world.host.unload()
    await world.host.load({ clock })
    return found
  }

  test('is red once pages were seen without a single list, and gone with the first', async () => {
    await pages(9)
    assert.deepEqual([(await check()).ok, await silent()], [null, false])
    assert.equal(await silent('2026-01-31'), false)
    await pages(3)
    assert.deepEqual([await silent('2026-01-31'), await silent(), await silent('2026-02-02')], [false, true, false])
    const { ok, advice } = await check()
    assert.equal(ok, false)
    assert.match(advice, /^Watch pages seen since yesterday: 12\. PeerTube asked for a related list on none/)

    await world.host.save({ ...world.host.saved, 'members-only': true })
    assert.deepEqual([(await check()).ok, await silent()], [null, false], 'they may be pages of those who get no list')
    await world.host.save({ ...world.host.saved, 'members-only': false })

    // Our own block gets its list, and PeerTube still asks for none.
    assert.deepEqual(await shown(world, video.uuid, { query: { shoal: 'own-block' } }), suggested)
    assert.deepEqual([(await check()).ok, await silent()], [false, true])
    for (let i = 0; i < 10; i++) await shown(world, video.uuid)
    assert.equal(await silent(), false)
    const found = await check()
    assert.equal(found.ok, true)
    assert.match(found.message, /lists filled in all server processes: 10\. Left in PeerTube's own order: 0/)
    assert.equal(found.counted.lately.filled, 10)
  })

  test('is not raised for want of a model', async () => {
    world.daemon.on('/v1/status', () => ({ mode: 'off', model: null }))
    assert.match((await check()).message, /No model serves yet/)
  })
})
