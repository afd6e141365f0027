import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'

import { OPT_OUT, fixture, pages, planted } from './fixture.js'

for (const major of [7, 8]) {
  describe(`export on PeerTube ${major}`, () => {
    let world, hidden, open, far, viewers
    before(async () => {
      world = await fixture({ major })
      const { seed, creator, call } = world
      hidden = await planted(world)
      open = await seed.video(creator.channel, {
        name: 'open', tags: ['sea', 'wind'], category: 15, language: 'fr', nsfw: true, views: 12, likes: 3,
        publishedAt: '2026-01-02T03:04:05Z', createdAt: '2026-01-02T03:00:00Z'
      })
      const server = await seed.remote('far.example')
      far = await seed.video(server.channel, { host: 'far.example', duration: 0 })
      viewers = {}
      for (const name of ['anna', 'refuses', 'silent', 'nohistory', 'blockeduser']) viewers[name] = await seed.user(name)
      for (const viewer of Object.values(viewers)) {
        await seed.rate(viewer.account, open)
        await seed.watch(viewer, open, 250)
      }
      for (const name of ['anna', 'nohistory', 'blockeduser']) {
        await call('PUT', 'viewer/v1/choice', { user: viewers[name], json: { training: true } })
      }
      await call('PUT', 'viewer/v1/choice', { user: viewers.refuses, json: { training: false } })
      await world.database.rows('UPDATE "user" SET "videosHistoryEnabled" = false WHERE id = $1', [viewers.nohistory.id])
      await world.database.rows('UPDATE "user" SET blocked = true WHERE id = $1', [viewers.blockeduser.id])
      // A remote account's like of a local video is in the same table.
      await seed.rate(server.account, open)
      for (const video of Object.values(hidden).filter(({ name }) => name !== 'secret deleted')) {
        await seed.rate(viewers.anna.account, video, 'dislike')
        await seed.watch(viewers.anna, video)
      }
      await seed.rate(viewers.anna.account, far, 'dislike')
      await seed.watch(viewers.anna, far, 3)
    })
    after(() => world.close())

    test('status says who, how many and up to where', async () => {
      const { body } = await world.export('status')
      const { version } = world.host.package
      assert.deepEqual({ ...body, marks: undefined }, {
        plugin: version, peertube: major === 7 ? '7.2.1' : '8.2.3', host: new URL(world.host.url).host,
        name: 'Host', consent: 'opt-in', participants: 1, nsfw: 'hide', closed: false, marks: undefined
      })
      assert.ok(body.marks.rates >= 7 && body.marks.history >= 7)
    })

    test('what the daemon tells of its ledger is kept until it tells more', async () => {
      const tell = query => world.call('POST', `export/v1/ledger?${new URLSearchParams(query)}`, { secret: true })
      assert.deepEqual((await world.export('ledger')).body, { ledger: null })
      const hash = digit => digit.repeat(64)
      const first = { begun: hash('0'), entries: 1, head: hash('0'), decisions: 0, decision: '' }
      assert.deepEqual((await tell(first)).body, { ledger: first })
      const seen = { ...first, entries: 7, head: hash('a'), decisions: 5, decision: hash('b') }
      assert.deepEqual((await tell(seen)).body, { ledger: seen })
      for (const wrong of [
        { head: 'A'.repeat(64) }, { head: '' }, { entries: 0 }, { entries: 'many' }, { entries: 4 }, { entries: 2 ** 49 },
        { decisions: 0 }, { decision: '' }, { begun: hash('0') + '0' }
      ]) {
        assert.equal((await tell({ ...seen, ...wrong })).status, 400, JSON.stringify(wrong))
      }
      assert.deepEqual((await world.export('ledger')).body, { ledger: seen })
      for (const method of ['GET', 'POST']) {
        assert.equal((await world.call(method, `export/v1/ledger?${new URLSearchParams(first)}`)).status, 404, method)
      }
    })

    test('the catalogue holds the public videos with all their columns', async () => {
      const items = await pages(world, 'videos')
      assert.deepEqual(items.map(({ uuid }) => uuid), [open.uuid, far.uuid])
      assert.deepEqual(items[0], {
        url: open.url, uuid: open.uuid, title: 'open', channel: world.creator.channel.url,
        host: new URL(world.host.url).host, category: 'Science & Technology', language: 'fr', nsfw: true,
        published: Date.UTC(2026, 0, 2, 3, 4, 5) / 1000, views: 12, likes: 3, tags: ['sea', 'wind'], scope: null,
        own: true, stored: Date.UTC(2026, 0, 2, 3) / 1000
      })
      assert.equal(items[1].host, 'far.example')
    })

    test('a remote video was stored when its playlist or files were, whatever dates its origin gives', async () => {
      const old = '2001-02-03T04:05:06Z'
      await world.database.rows('UPDATE video SET "createdAt" = $1, "publishedAt" = $1 WHERE id = $2', [old, far.id])
      const stored = async () => {
        const item = (await pages(world, 'videos')).find(({ uuid }) => uuid === far.uuid)
        assert.deepEqual([item.own, item.published], [false, Date.parse(old) / 1000])
        return item.stored
      }
      assert.equal(await stored(), null, 'nothing of this instance tells when')
      const file = await world.seed.insert('videoFile', { videoId: far.id, createdAt: '2026-03-01T00:00:00Z' })
      assert.equal(await stored(), Date.UTC(2026, 2, 1) / 1000)
      const playlist = await world.seed.insert('videoStreamingPlaylist',
        { videoId: far.id, createdAt: '2026-02-01T00:00:00Z' })
      assert.equal(await stored(), Date.UTC(2026, 1, 1) / 1000)
      await world.database.rows('DELETE FROM "videoFile" WHERE id = $1', [file.id])
      await world.database.rows('DELETE FROM "videoStreamingPlaylist" WHERE id = $1', [playlist.id])
    })

    test('engagements are those of participants on public videos, under pseudonyms', async () => {
      const rates = await pages(world, 'engagements?kind=rates&upto=1000')
      const history = await pages(world, 'engagements?kind=history&upto=1000')
      const [viewer] = new Set([...rates, ...history].map(item => item.viewer))
      assert.match(viewer, /^[0-9a-f]{32}$/)
      const plain = items => items.map(({ at, ...item }) => {
        assert.ok(Math.abs(at - Date.now() / 1000) < 600)
        return item
      })
      assert.deepEqual(plain(rates), [
        { viewer, video: open.url, liked: true, disliked: false, watched: 0 },
        { viewer, video: far.url, liked: false, disliked: true, watched: 0 }
      ])
      // 250 of 100 seconds is no more than all of it, and of a video without duration nothing was watched.
      assert.deepEqual(plain(history), [
        { viewer, video: open.url, liked: false, disliked: false, watched: 1 },
        { viewer, video: far.url, liked: false, disliked: false, watched: 0 }
      ])
    })

    test('who may opt out takes part until they do', async () => {
      await world.host.save({ ...world.host.saved, ...OPT_OUT })
      const { body } = await world.export('status')
      // The creator, the blocked creator, anna, silent; not refuses, nohistory, blockeduser.
      assert.deepEqual([body.consent, body.participants], ['opt-out', 4])
      const rates = await pages(world, 'engagements?kind=rates&upto=1000')
      assert.equal(new Set(rates.map(({ viewer }) => viewer)).size, 2)
      await world.host.save({ ...world.host.saved, consent: 'opt-in' })
      assert.equal((await world.export('status')).body.participants, 1)
    })

    test('the state of a participant changes when a row is gone, and only then', async () => {
      const { marks } = (await world.export('status')).body
      const states = () => pages(world, `participants?rates=${marks.rates}&history=${marks.history}`)
      const first = await states()
      assert.deepEqual(first, await states())
      const later = await world.seed.video(world.creator.channel)
      await world.seed.rate(viewers.anna.account, later)
      await world.seed.watch(viewers.anna, later)
      assert.deepEqual(await states(), first, 'rows after the mark do not count')
      await world.database.rows('UPDATE video SET privacy = 3 WHERE id = $1', [far.id])
      const second = await states()
      assert.notEqual(second[0].state, first[0].state)
      await world.database.rows('UPDATE video SET privacy = 1 WHERE id = $1', [far.id])
      assert.deepEqual(await states(), first)
      await world.database.rows('DELETE FROM "userVideoHistory" WHERE "userId" = $1 AND "videoId" = $2',
        [viewers.anna.id, open.id])
      assert.notDeepEqual(await states(), first)
    })

    test('a deleted user leaves nothing behind', async () => {
      const leaver = await world.seed.user('leaver')
      await world.call('PUT', 'viewer/v1/choice', { user: leaver, json: { training: true } })
      await world.call('POST', 'viewer/v1/hidden', { user: leaver, json: { kind: 'video', id: open.uuid } })
      await world.database.rows('DELETE FROM "user" WHERE id = $1', [leaver.id])
      for (const table of ['plugin_shoal_choice', 'plugin_shoal_hidden']) {
        assert.deepEqual(await world.database.rows(`SELECT * FROM ${table} WHERE "userId" = $1`, [leaver.id]), [])
      }
    })

    test('what cannot be used as a parameter is refused', async () => {
      for (const path of ['videos?limit=0', 'videos?limit=2001', 'videos?limit=x', 'videos?after=-1', 'videos?after[]=1',
        'engagements?kind=views&upto=1', 'engagements?kind=rates', 'participants?rates=1', 'videos?after=1%3BDROP',
        'participants?after=5&rates=1&history=1']) {
        assert.equal((await world.export(path)).status, 400, path)
      }
    })

    test('the owner\'s scope is exported where PeerTube has one, under either name', async () => {
      for (const column of ['recommendationPolicy', 'recommendationScope']) {
        await world.database.rows(`ALTER TABLE video ADD COLUMN "${column}" integer`)
        await world.database.rows(`UPDATE video SET "${column}" = 3 WHERE id = $1`, [open.id])
        await world.host.unload()
        await world.host.load()
        const [item] = await pages(world, 'videos')
        assert.equal(item.scope, 3, column)
        await world.database.rows(`ALTER TABLE video DROP COLUMN "${column}"`)
      }
      await world.host.unload()
      await world.host.load()
    })

    test('a video is as old as its first publication, where PeerTube knows that', async () => {
      const first = Date.UTC(2025, 4, 6) / 1000
      const published = async () => (await pages(world, 'videos')).find(({ uuid }) => uuid === open.uuid).published
      const before = await published()
      await world.database.rows('ALTER TABLE video ADD COLUMN "firstPublishedAt" timestamptz')
      await world.host.unload()
      await world.host.load()
      assert.equal(await published(), before, 'not known of this one')
      await world.database.rows('UPDATE video SET "firstPublishedAt" = to_timestamp($2) WHERE id = $1', [open.id, first])
      assert.equal(await published(), first)
      await world.database.rows('ALTER TABLE video DROP COLUMN "firstPublishedAt"')
      await world.host.unload()
      await world.host.load()
    })

    test('every value is bound, and only SELECTs are sent from the export', async () => {
      world.database.seen.length = 0
      await pages(world, 'videos')
      await pages(world, 'engagements?kind=rates&upto=1000')
      await pages(world, 'participants?rates=1000&history=1000')
      const [secrets, rest] = [true, false].map(isSecret => (
        world.database.seen.filter(({ sql }) => / FROM plugin /.test(sql) === isSecret)))
      assert.deepEqual([secrets.length, rest.length], [3, 3])
      for (const { sql, type, bind } of rest) {
        assert.equal(type, 'SELECT')
        assert.match(sql.trim(), /^(SELECT|WITH)\b/)
        assert.ok(bind.length >= 2)
      }
    })
  })
}

describe('paging', () => {
  test('is complete, without repetition, and unmoved by rows that come meanwhile', async () => {
    const world = await fixture()
    try {
      const { seed, creator, call } = world
      const people = []
      for (let i = 0; i < 7; i++) people.push(await seed.user(`viewer${i}`))
      for (const user of people) await call('PUT', 'viewer/v1/choice', { user, json: { training: true } })
      const videos = []
      for (let i = 0; i < 11; i++) videos.push(await seed.video(creator.channel))
      for (const user of people) for (const video of videos) await seed.watch(user, video, 30)
      const { marks } = (await world.export('status')).body
      const wanted = await pages(world, `engagements?kind=history&upto=${marks.history}`)
      assert.equal(wanted.length, 77)

      const newcomer = await seed.user('newcomer')
      await call('PUT', 'viewer/v1/choice', { user: newcomer, json: { training: true } })
      let next = 0
      const between = async () => { if (next < videos.length) await seed.watch(newcomer, videos[next++], 50) }
      for (const limit of [1, 5, 76, 77, 78]) {
        assert.deepEqual(await pages(world, `engagements?kind=history&upto=${marks.history}`, { limit, between }), wanted)
      }
      for (const video of videos.slice(0, 5)) await seed.rate(people[0].account, video)
      const upto = (await world.export('status')).body.marks.rates
      const rated = await pages(world, `engagements?kind=rates&upto=${upto}`)
      for (const video of videos.slice(5)) await seed.rate(people[1].account, video)
      for (const limit of [1, 4, 5, 6]) {
        assert.deepEqual(await pages(world, `engagements?kind=rates&upto=${upto}`, { limit }), rated)
      }
      assert.equal(rated.length, 5)
      const catalogue = await pages(world, 'videos')
      for (const limit of [1, 4, 11]) assert.deepEqual(await pages(world, 'videos', { limit }), catalogue)
      const states = `participants?rates=${marks.rates}&history=${marks.history}`
      const all = await pages(world, states)
      assert.equal(new Set(all.map(({ viewer }) => viewer)).size, 8)
      for (const limit of [1, 3, 8]) assert.deepEqual(await pages(world, states, { limit }), all)
      const page = await world.export(`${states}&limit=1`)
      assert.ok(!people.some(({ id }) => id === page.body.next), 'a cursor is no user id')
    } finally {
      await world.close()
    }
  })
})
