import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, before, beforeEach, describe, test } from 'node:test'

import { parseVectors, rank, rowOf, uuidAt } from '../../../peertube-plugin/client/watch/vectors.js'
import { ManualClock } from '../host/clock.js'
import { CASES, arrayBuffer, madeVectors, patched } from '../host/vectors.js'
import { fixture } from './fixture.js'

const ROUTE = 'browser/v1/vectors'

describe('ranking by vectors', () => {
  test('makes the daemon\'s lists, to the last bit', () => {
    assert.ok(CASES.length >= 5)
    for (const { history, listed, sha256, ...made } of CASES) {
      const file = madeVectors(made)
      assert.equal(createHash('sha256').update(file).digest('hex'), sha256)
      const vectors = parseVectors(arrayBuffer(file))
      assert.deepEqual(rank(vectors, history, 10).map(({ row, score, via }) => [row, score, via]), listed)
    }
  })

  test('finds rows by uuid', () => {
    const vectors = parseVectors(arrayBuffer(madeVectors({ count: 33 })))
    for (let row = 0; row < 33; row++) assert.equal(rowOf(vectors, uuidAt(vectors, row)), row)
    assert.equal(rowOf(vectors, '00000000-0000-0000-0000-000000000000'), -1)
    assert.equal(rowOf(vectors, 'ffffffff-ffff-ffff-ffff-ffffffffffff'), -1)
  })

  test('refuses broken files', () => {
    const good = madeVectors({ count: 20 })
    const weights = 48 + 16 * 20
    const float = value => Buffer.from(Float32Array.of(value).buffer)
    const broken = {
      empty: Buffer.alloc(0),
      cut: good.subarray(0, -1),
      longer: Buffer.concat([good, Buffer.alloc(1)]),
      header: good.subarray(0, 48),
      html: Buffer.from('<!doctype html>'.repeat(20)),
      magic: patched(good, 0, 'SHLX'),
      version: patched(good, 4, [2]),
      rank: patched(good, 6, [32]),
      count: patched(good, 8, [21]),
      'huge count': patched(good, 8, [255, 255, 255, 255]),
      'weight of zero': patched(good, weights, float(0)),
      'weight below zero': patched(good, weights + 80, float(-1)),
      'weight not a number': patched(good, weights, float(NaN)),
      'endless weight': patched(good, weights + 84, float(Infinity)),
      'vector of -128': patched(good, weights + 160 + 5, [128]),
      'uuids unsorted': patched(good, 48, [...good.subarray(64, 80), ...good.subarray(48, 64)]),
      'uuid twice': patched(good, 64, good.subarray(48, 64))
    }
    assert.ok(parseVectors(arrayBuffer(good)))
    for (const [name, file] of Object.entries(broken)) assert.equal(parseVectors(arrayBuffer(file)), null, name)
  })
})

for (const major of [7, 8]) {
  describe(`vectors on PeerTube ${major}`, () => {
    const clock = new ManualClock()
    const file = madeVectors({ count: 50 })
    let world, offered
    before(async () => { world = await fixture({ major, parts: { clock } }) })
    after(() => world.close())
    beforeEach(async () => {
      offered = file
      world.daemon.asked.length = 0
      world.daemon.on('/v1/vectors', (_request, response) => {
        if (!offered) return response.writeHead(404, { 'content-type': 'application/json' }).end('{"code":"no-vectors"}')
        response.writeHead(200, { 'content-type': 'application/octet-stream' }).end(offered)
      })
      await switchTo(true)
    })
    const switchTo = on => world.host.save({ ...world.host.saved, 'browser-suggestions': on })
    const get = headers => world.host.fetch(world.host.base + ROUTE, { headers })
    const asked = () => world.daemon.about('/v1/vectors').length

    test('are off until the admin turns them on', async () => {
      const { 'browser-suggestions': _, ...before } = world.host.saved
      for (const saved of [before, { ...before, 'browser-suggestions': false }]) {
        await world.host.save(saved)
        assert.equal((await get()).status, 404)
      }
      assert.equal(asked(), 0)
      assert.equal(world.host.declared.find(({ name }) => name === 'browser-suggestions').default, false)
      await switchTo('true')
      assert.equal((await get()).status, 200)
    })

    test('are the daemon\'s, cached for a day, the same for everybody', async () => {
      const response = await get()
      assert.deepEqual(Buffer.from(await response.arrayBuffer()), file)
      assert.equal(response.headers.get('cache-control'), 'public, max-age=86400')
      assert.equal(response.headers.get('content-type'), 'application/octet-stream')
      assert.equal(response.headers.get('vary'), null)
      const tag = response.headers.get('etag')
      const again = await get({ 'if-none-match': tag })
      assert.deepEqual([again.status, await again.text(), again.headers.get('etag')], [304, '', tag])
      assert.equal((await get({ 'if-none-match': '"other"' })).status, 200)
      const anna = await world.seed.user()
      const hers = await world.host.fetch(world.host.base + ROUTE, { user: anna })
      assert.equal(hers.headers.get('etag'), tag)
      assert.equal(asked(), 1)
    })

    test('are asked for once, however many want them, and again after ten minutes', async () => {
      await Promise.all([get(), get(), get()])
      assert.equal(asked(), 1)
      clock.advance(9 * 60_000)
      await get()
      assert.equal(asked(), 1)
      clock.advance(60_000)
      offered = madeVectors({ count: 51 })
      assert.deepEqual(Buffer.from(await (await get()).arrayBuffer()), offered)
      assert.equal(asked(), 2)
    })

    test('outlive a daemon that is down, but not one that has none any more', async () => {
      assert.equal((await get()).status, 200)
      world.daemon.on('/v1/vectors', (_request, response) => { response.destroy() })
      clock.advance(11 * 60_000)
      assert.equal((await get()).status, 200)
      assert.equal((await get()).status, 200)
      assert.equal(asked(), 2, 'a daemon that is down is left alone for a while')
      clock.advance(24 * 3600_000)
      const none = await get()
      assert.deepEqual([none.status, none.headers.get('cache-control')], [204, 'public, max-age=600'])
      world.daemon.on('/v1/vectors', (_request, response) => { response.writeHead(200).end(file) })
      clock.advance(60_000)
      assert.equal((await get()).status, 200)
      world.daemon.on('/v1/vectors', (_request, response) => { response.writeHead(404).end() })
      clock.advance(11 * 60_000)
      assert.equal((await get()).status, 204)
    })

    test('are not anything else that the daemon says, nor more than 500 kB', async () => {
      for (const wrong of [Buffer.from('<html>'), Buffer.alloc(0), Buffer.concat([file, Buffer.alloc(500_000)])]) {
        offered = wrong
        await switchTo(true)
        assert.equal((await get()).status, 204)
        clock.advance(60_000)
      }
    })

    test('show in the diagnostics', async () => {
      const admin = await world.seed.user('root', { role: 0 })
      const check = async () => (await world.call('GET', 'admin/v1/diagnostics', { user: admin })).body.checks.find(({ id }) => id === 'browser')
      assert.equal((await check()).ok, null, 'without the daemon')
      world.daemon.on('/v1/status', () => ({ mode: 'consume' }))
      assert.equal((await check()).ok, true)
      offered = null
      await switchTo(true)
      assert.match((await check()).advice, /no vectors to offer/)
      await switchTo(false)
      assert.equal((await check()).ok, null)
    })
  })

  describe(`what a browser may show on PeerTube ${major}`, () => {
    let world, current, videos, other
    before(async () => {
      world = await fixture({ major, saved: { 'browser-suggestions': true } })
      current = await world.seed.video(world.creator.channel)
      other = await world.seed.user('other')
      videos = []
      for (let i = 0; i < 4; i++) videos.push(await world.seed.video(i % 2 ? other.channel : world.creator.channel))
    })
    after(() => world.close())

    const search = async (uuids, { referer = `${world.host.url}/w/${current.uuid}`, user, ...query } = {}) => {
      const parameters = new URLSearchParams({ count: '12', skipCount: 'true', nsfw: 'false', searchTarget: 'local', shoal: 'browser', ...query })
      for (const uuid of uuids) parameters.append('uuids', uuid)
      const response = await world.host.fetch(`/api/v1/search/videos?${parameters}`, { user, headers: referer ? { referer } : {} })
      return new Set((await response.json()).data.map(({ uuid }) => uuid))
    }
    const all = () => videos.map(({ uuid }) => uuid)

    test('is what PeerTube shows', async () => {
      assert.deepEqual(await search(all()), new Set(all()))
      assert.deepEqual(await search(all(), { referer: null }), new Set(all()))
    })

    test('is public and safe, whoever asks and whatever they ask for', async () => {
      const internal = await world.seed.video(world.creator.channel, { privacy: 4 })
      const unsafe = await world.seed.video(world.creator.channel, { nsfw: true })
      const found = await search([...all(), internal.uuid, unsafe.uuid], { user: other, nsfw: 'both' })
      assert.deepEqual(found, new Set(all()))
    })

    test('is not what was excluded', async () => {
      const admin = await world.seed.user('admin', { role: 0 })
      const exclude = json => world.call('PUT', 'admin/v1/exclusions', { user: admin, json })
      await exclude({ channels: [other.channel.url], hosts: [], videos: [videos[0].url] })
      assert.deepEqual(await search(all()), new Set([videos[2].uuid]))
      await exclude({ channels: [], hosts: [], videos: [] })
      assert.deepEqual(await search(all()), new Set(all()))
    })

    test('is what the owner of the video on the page accepts beside it', async () => {
      await world.database.rows('ALTER TABLE video ADD COLUMN "recommendationScope" integer NOT NULL DEFAULT 1')
      await world.host.unload()
      await world.host.load()
      const beside = scope => world.database.rows(
        'UPDATE video SET "recommendationScope" = $1 WHERE id = $2', [scope, current.id])
      await beside(4)
      assert.deepEqual(await search(all()), new Set([videos[0].uuid, videos[2].uuid]))
      await beside(1)
      assert.deepEqual(await search(all()), new Set(all()))
    })

    test('is nothing while it cannot be told what was excluded', async () => {
      const admin = await world.seed.user('second', { role: 0 })
      await world.call('PUT', 'admin/v1/exclusions', { user: admin, json: { channels: [], hosts: [], videos: [] } })
      world.host.queryDelay = () => Promise.reject(new Error('no database'))
      assert.deepEqual(await search(all()), new Set())
      world.host.queryDelay = undefined
    })
  })
}
