import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'

import { ManualClock } from '../host/clock.js'
import { fixture, planted, shown } from './fixture.js'

const PATH = 'recommendations/v1/videos'
const REASON = { kind: 'tags', text: 'Same tags', users: null, tags: ['sea'], words: [], share: 1 }

for (const major of [7, 8]) {
  describe(`recommendations on PeerTube ${major}`, () => {
    let world, clock, anna, current, videos, ask
    const sent = []
    const watched = (url, options) => {
      sent.push({ url: String(url), ...options })
      return fetch(url, options)
    }
    before(async () => {
      clock = new ManualClock()
      world = await fixture({ major, parts: { clock, fetch: watched } })
    })
    after(() => world.close())
    beforeEach(async () => {
      // Another minute for limits, and lists that are too old to be kept.
      clock.advance(3_600_000)
      anna = await world.seed.user()
      current = await world.seed.video(world.creator.channel)
      videos = []
      for (let n = 0; n < 4; n++) videos.push(await world.seed.video(world.creator.channel))
      world.daemon.suggests(videos)
      recommends(videos)
      sent.length = world.daemon.asked.length = 0
      ask = (query = `video=${current.uuid}`, user) => world.call('GET', `${PATH}?${query}`, { user })
    })
    const told = found => found.map(({ uuid, url }) => ({ uuid, url, reason: REASON }))
    const recommends = found => world.daemon.on('/v1/recommendations', () => ({ history: 7, videos: told(found) }))
    const uuids = ({ body }) => body.data.map(({ uuid }) => uuid)
    const own = async (user = anna) => (await ask('', user)).body
    const takesPart = (user = anna) => world.call('PUT', 'viewer/v1/choice', { user, json: { training: true, personal: true } })

    test('beside a video are those of the watch page, as PeerTube writes them, each with its reason', async () => {
      const { status, body } = await ask()
      assert.equal(status, 200)
      assert.deepEqual(uuids({ body }), await shown(world, current.uuid))
      assert.equal(body.total, 4)
      assert.deepEqual(body.data[0].reason, REASON)
      const { name, channel, thumbnailPath } = body.data[0]
      assert.deepEqual([name, channel.url, thumbnailPath],
        [videos[0].name, world.creator.channel.url, `/lazy-static/thumbnails/${videos[0].uuid}.jpg`])
      assert.deepEqual(uuids(await ask(`video=${current.uuid}&count=2`)), videos.slice(0, 2).map(({ uuid }) => uuid))
    })

    test('show nobody what a list on the watch page does not', async () => {
      const hidden = Object.values(await planted(world))
      const sensitive = await world.seed.video(world.creator.channel, { nsfw: true })
      const far = await world.seed.remote(`far${clock.now()}.example`)
      const remote = await world.seed.video(far.channel, { host: far.host })
      const put = json => world.database.rows('INSERT INTO plugin_shoal_exclusion VALUES ($1, $2)', [json.kind, json.value])
      await put({ kind: 'video', value: videos[0].url })
      clock.advance(3_600_000)
      world.daemon.suggests([...hidden, sensitive, remote, ...videos])
      recommends([...hidden, sensitive, remote, ...videos])
      await takesPart()
      await world.seed.insert('accountBlocklist', { accountId: anna.account.id, targetAccountId: far.account.id })
      await world.seed.watch(anna, videos[1])
      await world.call('POST', 'viewer/v1/hidden', { user: anna, json: { kind: 'video', id: videos[2].uuid } })

      const anybody = [remote, ...videos.slice(1)].map(({ uuid }) => uuid)
      assert.deepEqual(uuids(await ask()), anybody)
      assert.deepEqual(await shown(world, current.uuid), anybody)
      for (const video of [...hidden.filter(video => video.privacy !== 1), hidden[4]]) {
        assert.deepEqual((await ask(`video=${video.uuid}`)).body, { total: 0, data: [] }, 'nor beside what is not public')
      }
      const annas = [videos[3].uuid]
      assert.deepEqual(uuids(await ask(undefined, anna)), annas)
      assert.deepEqual(await shown(world, current.uuid, { user: anna }), annas)
      assert.deepEqual(uuids({ body: await own() }), annas)
      await world.database.rows('DELETE FROM plugin_shoal_exclusion')
    })

    test('keep what the owner of the video wants beside it', async () => {
      const far = await world.seed.remote('away.example')
      const remote = await world.seed.video(far.channel, { host: far.host })
      world.daemon.suggests([remote, ...videos])
      assert.equal((await ask()).body.total, 5)
      clock.advance(3_600_000)
      await world.database.rows('ALTER TABLE video ADD COLUMN "recommendationScope" integer NOT NULL DEFAULT 2')
      await world.host.unload()
      await world.host.load({ clock, fetch: watched })
      assert.deepEqual(uuids(await ask()), videos.map(({ uuid }) => uuid))
    })

    test('follow the admin: none where lists are off, for members alone where those see them', async () => {
      const { saved } = world.host
      await world.host.save({ ...saved, 'members-only': true })
      assert.equal((await ask()).status, 401)
      assert.deepEqual(uuids(await ask(undefined, anna)), videos.map(({ uuid }) => uuid))
      await world.host.save({ ...saved, 'related-list': false })
      assert.equal((await ask()).status, 404)
      await world.host.save(saved)
      world.daemon.on('/v1/related', () => ({ exact: true, videos: told(videos) }))
      assert.deepEqual(uuids(await ask()), [], 'from exact numbers')
    })

    test('are a viewer\'s own without a video, once they want that, and say what they wait for', async () => {
      assert.equal((await ask('')).status, 401)
      const nothing = { known: 0, total: 0, data: [] }
      assert.deepEqual(await own(), { state: 'not-on', ...nothing })
      await world.call('PUT', 'viewer/v1/choice', { user: anna, json: { training: true } })
      assert.deepEqual(await own(), { state: 'not-on', ...nothing })
      assert.equal(world.daemon.about('/v1/recommendations').length, 0, 'the daemon hears of nobody who does not want it')

      await takesPart()
      await world.call('PUT', 'viewer/v1/discovery', { user: anna, json: { discovery: 'explore' } })
      const body = await own()
      assert.deepEqual([body.state, body.known, uuids({ body })], ['ready', 7, videos.map(({ uuid }) => uuid)])
      assert.deepEqual(body.data[0].reason, REASON)
      const [asked] = world.daemon.about('/v1/recommendations')
      const { viewer, ...rest } = JSON.parse(asked.body)
      assert.match(viewer, /^[0-9a-f]{32}$/)
      assert.deepEqual([rest, asked.headers['x-shoal-secret']], [{ nsfw: false, limit: 100, discovery: 'explore' }, world.host.secret])

      world.daemon.on('/v1/recommendations', (_request, response) => { response.writeHead(503).end('{"code":"no-model"}') })
      assert.deepEqual(await own(), { state: 'no-model', ...nothing })
      for (const broken of [
        (_request, response) => { response.destroy() }, (_request, response) => { response.writeHead(403).end() },
        () => ({ videos: [] }), () => ({ history: 1 })
      ]) {
        world.daemon.on('/v1/recommendations', broken)
        assert.equal((await ask('', anna)).status, 502)
      }
      const said = world.host.logs.map(({ message, meta }) => JSON.stringify([message, meta]))
      assert.ok(said.length > 0)
      assert.ok(said.every(line => ![viewer, anna.username, '127.0.0.1', ...videos.flatMap(({ uuid, name }) => [uuid, name])]
        .some(secret => line.includes(secret))), said.join())
      await world.database.rows('UPDATE "user" SET "videosHistoryEnabled" = false WHERE id = $1', [anna.id])
      assert.deepEqual(await own(), { state: 'history-off', ...nothing })
    })

    test('end with a withdrawal', async () => {
      await takesPart()
      assert.equal((await own()).total, 4)
      world.daemon.on('/v1/viewers/forget', (_request, response) => { response.writeHead(204).end() })
      await world.call('POST', 'viewer/v1/withdraw', { user: anna })
      assert.equal((await own()).state, 'not-on')
      assert.equal(world.daemon.about('/v1/recommendations').length, 1)
    })

    test('that cannot be understood are refused', async () => {
      for (const query of ['video=', 'video=nonsense', `video=${current.uuid}&video=${current.uuid}`, 'count=0', 'count=51', 'count=x']) {
        const { status, body } = await ask(query, anna)
        assert.equal(status, 400, query)
        assert.ok(body.error)
      }
    })

    test('ask PeerTube as the caller, without naming a video, so that no log tells what was suggested', async () => {
      await takesPart()
      await ask(undefined, anna)
      await own()
      const searches = sent.filter(({ url }) => url.includes('/api/v1/search/videos'))
      assert.equal(searches.length, 2)
      for (const { url, headers } of searches) {
        assert.ok(url.startsWith(`http://127.0.0.1:${world.host.port}/`))
        assert.ok([current, ...videos].every(({ uuid }) => !url.includes(uuid)), url)
        assert.equal(headers.authorization, `Bearer ${world.host.login(anna)}`)
        assert.match(headers['x-forwarded-for'], /127\.0\.0\.1$/)
        assert.equal((await fetch(url)).status, 200)
        const again = await (await fetch(url)).json()
        assert.ok(again.data.every(({ reason }) => reason === undefined), 'the name of a search is good for one')
      }
      await ask()
      assert.equal(sent.at(-1).headers.authorization, undefined, 'nobody is logged in')
    })

    test('say so when PeerTube does not answer, or another search index does', async () => {
      const { hooks } = world.host
      const kept = new Map(hooks)
      // Where every search goes to a search index, the plugin's filters are not asked.
      hooks.clear()
      assert.deepEqual((await ask()).body, { total: 0, data: [] })
      hooks.set('filter:api.search.videos.local.list.params', [{ handler: () => ({ get uuids () { throw new Error('no') } }) }])
      assert.equal((await ask()).status, 503)
      for (const [target, handlers] of kept) hooks.set(target, handlers)
    })

    test('are counted by client, who waits for the next minute', async () => {
      for (let n = 0; n < 60; n++) assert.notEqual((await ask('count=0')).status, 429)
      clock.advance(20_000)
      const response = await world.host.fetch(`${world.host.base}${PATH}?video=${current.uuid}`)
      assert.deepEqual([response.status, response.headers.get('retry-after')], [429, '40'])
      assert.equal((await ask(undefined, anna)).status, 200, 'members by account, since many share an address')
      clock.advance(40_000)
      assert.equal((await ask()).status, 200)
    })
  })
}
