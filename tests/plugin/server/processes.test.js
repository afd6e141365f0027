import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'

import { ManualClock } from '../host/clock.js'
import { Database } from '../host/database.js'
import { createHost } from '../host/host.js'
import { fixture, pages, shown, until } from './fixture.js'

/** Two server processes of one instance: each with a plugin of its own, on one database and one daemon. */
describe('several server processes', () => {
  let world, second, saved, current, videos, anna, admin
  before(async () => {
    world = await fixture({ parts: { clock: new ManualClock() } })
    const { seed, creator } = world
    saved = world.host.saved
    current = await seed.video(creator.channel, { tags: ['sea'] })
    videos = [await seed.video(creator.channel), await seed.video(creator.channel), await seed.video(creator.channel)]
    anna = await seed.user('anna')
    admin = await seed.user('admin', { role: 0 })
    await seed.watch(anna, current)
  })
  after(() => world.close())
  beforeEach(async () => {
    await world.host.save(saved)
    second = { ...world, host: await createHost({ beside: world.host }) }
    await second.host.load({ clock: new ManualClock() })
    world.daemon.on('/v1/related', ({ url }) => ({
      model: 'm1',
      videos: (url.includes('viewer=') ? videos.toReversed() : videos)
        .map(({ uuid, url: address }) => ({ uuid, url: address, reason: { kind: url.includes('viewer=') ? 'history' : 'popular' } }))
    }))
    world.daemon.on('/v1/viewers/forget', (_request, response) => { response.writeHead(204).end() })
  })
  afterEach(() => second.host.close())

  const stored = async () => (await world.host.stored()).secret
  const uuids = list => list.map(({ uuid }) => uuid)
  const call = async (method, path, options, { host } = second) => {
    const { secret, ...rest } = options
    const response = await host.fetch(host.base + path, { method, ...rest, headers: secret ? { 'x-shoal-secret': secret } : {} })
    const text = await response.text()
    return { status: response.status, body: text ? JSON.parse(text) : undefined }
  }

  test('have one secret and one name for a viewer, also when they start at once', async () => {
    await world.database.rows('UPDATE plugin SET storage = NULL')
    const hosts = await Promise.all([1, 2].map(() => createHost({ beside: world.host })))
    try {
      await Promise.all(hosts.map(host => host.load()))
      assert.match(hosts[0].secret, /^[\w-]{32}$/)
      assert.equal(hosts[0].secret, hosts[1].secret)
      await world.call('PUT', 'viewer/v1/choice', { user: anna, json: { training: true } })
      const names = []
      for (const host of hosts) {
        const [item] = await pages({
          export: path => call('GET', `export/v1/${path}`, { secret: host.secret }, { host })
        }, 'engagements?kind=history&upto=99')
        names.push(item.viewer)
      }
      assert.match(names[0], /^[0-9a-f]{32}$/)
      assert.equal(names[0], names[1])
    } finally {
      await Promise.all(hosts.map(host => host.close()))
    }
  })

  test('a withdrawal holds in the other at once, and no list from before it comes back', async () => {
    const choose = (json, at) => call('PUT', 'viewer/v1/choice', { user: anna, json }, at)
    await choose({ training: true, personal: true }, world)
    for (const at of [world, second]) {
      assert.deepEqual(await shown(at, current.uuid, { user: anna }), uuids(videos.toReversed()))
    }
    await call('POST', 'viewer/v1/withdraw', { user: anna }, world)
    assert.deepEqual(await shown(second, current.uuid, { user: anna }), uuids(videos))
    const { body } = await call('GET', `why/v1/reasons?video=${current.uuid}`, { user: anna })
    assert.equal(body.reasons[videos[0].uuid].kind, 'popular')
    const { body: { items } } = await call('GET', 'export/v1/engagements?kind=history&upto=99', { secret: await stored() })
    assert.deepEqual(items, [])

    await choose({ training: true, personal: true }, world)
    world.daemon.suggests([videos[1], videos[0], videos[2]])
    assert.deepEqual(await shown(second, current.uuid, { user: anna }), uuids([videos[1], videos[0], videos[2]]))
    await choose({ training: false }, world)
  })

  test('what is hidden, chosen or excluded through one is so in the other', async () => {
    assert.deepEqual(await shown(second, current.uuid, { user: anna }), uuids(videos))
    const hidden = { user: anna, json: { kind: 'video', id: videos[0].uuid } }
    await call('POST', 'viewer/v1/hidden', hidden, world)
    assert.deepEqual(await shown(second, current.uuid, { user: anna }), uuids(videos.slice(1)))
    await call('DELETE', 'viewer/v1/hidden', hidden)
    assert.deepEqual(await shown(world, current.uuid, { user: anna }), uuids(videos))

    await call('PUT', 'viewer/v1/discovery', { user: anna, json: { discovery: 'explore' } }, world)
    await shown(second, current.uuid, { user: anna })
    assert.equal(world.daemon.about('/v1/related').at(-1).url.searchParams.get('discovery'), 'explore')

    assert.deepEqual(await shown(second, current.uuid), uuids(videos))
    await call('PUT', 'admin/v1/exclusions', { user: admin, json: { videos: [videos[1].url] } }, world)
    assert.deepEqual(await shown(second, current.uuid), uuids([videos[0], videos[2]]))
    await call('PUT', 'owner/v1/channels', { user: world.creator, json: { [world.creator.channel.url]: true } }, world)
    assert.deepEqual(await shown(second, current.uuid), [])
    await call('PUT', 'owner/v1/channels', { user: world.creator, json: { [world.creator.channel.url]: false } }, world)
    await call('PUT', 'admin/v1/exclusions', { user: admin, json: {} }, world)
    assert.deepEqual(await shown(second, current.uuid), uuids(videos))
  })

  test('a list shown by one is explained by the other', async () => {
    await shown(world, current.uuid)
    const { body } = await call('GET', `why/v1/reasons?video=${current.uuid}`, {})
    assert.deepEqual(Object.keys(body.reasons), uuids(videos))
    world.daemon.on('/v1/related', (_request, response) => { response.destroy() })
    await second.host.save(second.host.saved)
    assert.deepEqual(await call('GET', `why/v1/reasons?video=${current.uuid}`, {}), { status: 200, body: { reasons: {} } })
  })

  test('a secret typed into one opens the other, and the old one does not', async () => {
    const old = await stored()
    const status = async secret => (await call('GET', 'export/v1/status', { secret })).status
    assert.equal(await status(old), 200)
    // As if PeerTube had told only the process that saved.
    await world.host.save({ ...world.host.saved, secret: 'of-the-admin\'s-own-choice' })
    assert.deepEqual([await status('of-the-admin\'s-own-choice'), await status(old)], [200, 404])
    await world.host.save({ ...world.host.saved, secret: '' })
    assert.equal(await status(old), 200)
  })

  test('what a replica does not know yet counts', async () => {
    const late = await Database.open({ copyOf: world.database })
    const behind = { ...world, host: await createHost({ beside: world.host, replica: late }) }
    try {
      await behind.host.load({ clock: new ManualClock() })
      const secret = await stored()
      const exported = path => call('GET', `export/v1/${path}`, { secret }, behind)
      await call('PUT', 'viewer/v1/choice', { user: anna, json: { training: true, personal: true } }, world)
      const { marks } = (await exported('status')).body
      const history = `engagements?kind=history&upto=${marks.history}`
      const participants = `participants?rates=${marks.rates}&history=${marks.history}`
      const counts = async () => (
        [(await exported(history)).body.items.length, (await exported(participants)).body.items.length])
      assert.deepEqual(await counts(), [1, 1])
      await call('POST', 'viewer/v1/hidden', { user: anna, json: { kind: 'video', id: videos[0].uuid } }, world)
      await call('PUT', 'admin/v1/exclusions', { user: admin, json: { videos: [videos[2].url] } }, world)
      assert.deepEqual(await shown(behind, current.uuid, { user: anna }), uuids([videos[1]]))
      assert.deepEqual((await exported('exclusions')).body.videos, [videos[2].url])

      await call('POST', 'viewer/v1/withdraw', { user: anna }, world)
      assert.deepEqual(await counts(), [0, 0])
      assert.deepEqual(await shown(behind, current.uuid), uuids(videos.slice(0, 2)), 'nothing personal')
      await world.host.save({ ...world.host.saved, secret: 'of-the-admin\'s-own-choice' })
      assert.equal((await exported('status')).status, 404)
    } finally {
      await world.host.save({ ...world.host.saved, secret: '' })
      await call('PUT', 'admin/v1/exclusions', { user: admin, json: {} }, world)
      await call('DELETE', 'viewer/v1/hidden', { user: anna, json: { kind: 'video', id: videos[0].uuid } }, world)
      await behind.host.close()
      await late.close()
    }
  })

  test('everything is erased in all of them, and begun anew in all of them', async () => {
    const secret = await stored()
    await call('PUT', 'viewer/v1/choice', { user: anna, json: { training: true } }, world)
    await shown(second, current.uuid)
    await call('POST', 'admin/v1/erase', { user: admin, json: { confirm: 'erase' } }, world)
    const participants = () => call('GET', 'export/v1/participants?rates=9&history=9', { secret })
    assert.deepEqual(await participants(), { status: 200, body: { items: [], next: null } })
    assert.equal((await call('PUT', 'viewer/v1/choice', { user: anna, json: { training: true } })).status, 410)
    assert.deepEqual((await call('GET', `why/v1/reasons?video=${current.uuid}`, {})).body, { reasons: {} })
    assert.ok(!(await shown(second, current.uuid, { tags: ['sea'] })).includes(videos[0].uuid), 'PeerTube\'s own list')

    await world.host.unload()
    await world.host.load({ clock: new ManualClock() })
    const { secret: renewed } = world.host
    assert.notEqual(renewed, secret)
    await call('PUT', 'viewer/v1/choice', { user: anna, json: { training: true } })
    const names = await Promise.all([world, second].map(async at => (
      (await call('GET', 'export/v1/participants?rates=9&history=9', { secret: renewed }, at)).body.items[0].viewer)))
    assert.equal(names[0], names[1], 'the other has the new key')
    assert.equal((await participants()).status, 404)
    assert.deepEqual(second.host.logs.filter(({ level }) => level === 'error'), [])
  })

  test('each learns by itself that another model serves', async () => {
    const clock = new ManualClock()
    await second.host.unload()
    await second.host.load({ clock })
    world.daemon.suggests(videos)
    assert.deepEqual(await shown(second, current.uuid), uuids(videos))
    world.daemon.model = 'm2'
    world.daemon.suggests(videos.toReversed())
    clock.advance(2000)
    await until(() => clock.waiting === 1 && clock.soonest > 1000)
    assert.deepEqual(await shown(second, current.uuid), uuids(videos.toReversed()))
    world.daemon.model = 'm1'
  })
})
