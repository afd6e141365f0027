import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'

import { ManualClock } from '../host/clock.js'
import { fixture, planted, shown, until } from './fixture.js'

const uuids = videos => videos.map(({ uuid }) => uuid)

for (const major of [7, 8]) {
  describe(`related list on PeerTube ${major}`, () => {
    let world, current, videos, stock, other, anna
    before(async () => {
      // Time stands still: what is tested here is lists, and a busy machine must not turn them into the stock one.
      world = await fixture({ major, parts: { clock: new ManualClock() } })
      const { seed, creator } = world
      current = await seed.video(creator.channel, { tags: ['sea'] })
      other = await seed.user('other')
      videos = []
      for (let i = 0; i < 10; i++) videos.push(await seed.video(i % 2 ? other.channel : creator.channel, { tags: ['wind'] }))
      stock = await seed.video(creator.channel, { tags: ['sea'] })
      anna = await seed.user('anna')
    })
    after(() => world.close())
    beforeEach(async () => {
      world.daemon.answers.clear()
      world.daemon.asked.length = 0
      world.host.nsfwPolicy = 'do_not_list'
      await world.host.save({ ...world.host.saved, 'related-list': true })
    })
    const list = options => shown(world, current.uuid, { tags: ['sea'], ...options })
    const stockList = () => [stock.uuid, current.uuid]

    test('is the daemon\'s, in its order, cut to what was asked for', async () => {
      const order = [videos[3], videos[1], videos[9], videos[0], videos[7], videos[2], videos[5], videos[8]]
      world.daemon.suggests(order)
      assert.deepEqual(await list({ count: 7 }), uuids(order.slice(0, 7)))
      const [{ url }] = world.daemon.about('/v1/related')
      assert.equal(url.searchParams.get('video'), current.uuid)
      assert.equal(url.searchParams.get('limit'), '30')
      assert.equal(url.searchParams.get('nsfw'), '0')
      assert.equal(url.searchParams.get('viewer'), null)
    })

    test('is asked for once and then comes from memory', async () => {
      world.daemon.suggests(videos)
      for (let i = 0; i < 3; i++) assert.deepEqual(await list(), uuids(videos.slice(0, 7)))
      assert.equal(world.daemon.about('/v1/related').length, 1)
    })

    test('keeps its order when another plugin copies the parameters', async () => {
      world.daemon.suggests([videos[4], videos[2], videos[6]])
      const filter = 'filter:api.search.videos.local.list.params'
      const copying = { handler: params => ({ ...params }), priority: -1 }
      world.host.hooks.get(filter).push(copying)
      assert.deepEqual(await list(), uuids([videos[4], videos[2], videos[6]]))
      world.host.hooks.get(filter).pop()
    })

    test('is PeerTube\'s own on any doubt', async () => {
      world.daemon.suggests(videos)
      for (const referer of [null, `${world.host.url}/w/p/abc?playlistPosition=1`, `${world.host.url}/`,
        `https://elsewhere.example/w/${current.uuid}`]) {
        assert.deepEqual(await list({ referer }), stockList(), String(referer))
      }
      assert.deepEqual(await list({ query: { search: 'video' } }), stockList())
      await world.host.save({ ...world.host.saved, 'related-list': false })
      assert.deepEqual(await list(), stockList())
      assert.equal(world.daemon.asked.length, 0)
    })

    test('is PeerTube\'s own when the daemon knows nothing, or too little', async () => {
      assert.deepEqual(await list(), stockList(), 'an unknown video')
      world.daemon.suggests([videos[0]])
      await world.host.save(world.host.saved)
      assert.deepEqual(await list(), stockList(), 'a single one')
      world.daemon.on('/v1/related', () => ({ videos: [{ uuid: current.uuid }, { uuid: 'x' }, {}, null, 7] }))
      await world.host.save(world.host.saved)
      assert.deepEqual(await list(), stockList(), 'nothing usable')
    })

    test('never names to the daemon a video that is not public', async () => {
      const hidden = await planted(world)
      world.daemon.suggests(videos)
      for (const video of Object.values(hidden)) await shown(world, video.uuid, { tags: ['sea'] })
      assert.deepEqual(world.daemon.asked, [])
    })

    test('drops what a viewer hid, at once, also from PeerTube\'s own list', async () => {
      world.daemon.suggests(videos)
      await list({ user: anna })
      await world.call('POST', 'viewer/v1/hidden', { user: anna, json: { kind: 'video', id: videos[0].uuid } })
      await world.call('POST', 'viewer/v1/hidden', { user: anna, json: { kind: 'channel', id: other.channel.url } })
      const wanted = videos.slice(1).filter(({ channelId }) => channelId !== other.channel.id)
      assert.deepEqual(await list({ user: anna }), uuids(wanted))
      assert.deepEqual(await list(), uuids(videos.slice(0, 7)), 'nobody else is concerned')
      await world.call('POST', 'viewer/v1/hidden', { user: anna, json: { kind: 'video', id: stock.url } })
      const own = await list({ user: anna, referer: null })
      assert.ok(own.includes(current.uuid) && !own.includes(stock.uuid))
      const { body } = await world.call('GET', 'viewer/v1/hidden', { user: anna })
      for (const { id } of body.videos) {
        await world.call('DELETE', 'viewer/v1/hidden', { user: anna, json: { kind: 'video', id } })
      }
      for (const { url } of body.channels) {
        await world.call('DELETE', 'viewer/v1/hidden', { user: anna, json: { kind: 'channel', id: url } })
      }
      assert.deepEqual(await list({ user: anna }), uuids(videos.slice(0, 7)))
    })

    test('drops what admin or owner excluded', async () => {
      world.daemon.suggests(videos)
      const admin = await world.seed.user(`admin${major}`, { role: 0 })
      const exclude = exclusions => world.call('PUT', 'admin/v1/exclusions', { user: admin, json: exclusions })
      await exclude({ videos: [videos[0].url], channels: [other.channel.url] })
      const rest = videos.slice(1).filter(({ channelId }) => channelId !== other.channel.id)
      assert.deepEqual(await list(), uuids(rest))
      await exclude({ hosts: [new URL(world.host.url).host] })
      assert.deepEqual(await list(), [])
      await exclude({})
      await world.call('PUT', 'owner/v1/channels', { user: other, json: { [other.channel.url]: true } })
      assert.deepEqual(await list(), uuids(videos.filter(({ channelId }) => channelId !== other.channel.id)))
      assert.deepEqual((await world.export('exclusions')).body,
        { channels: [other.channel.url], hosts: [], videos: [] })
      await world.call('PUT', 'owner/v1/channels', { user: other, json: { [other.channel.url]: false } })
      assert.deepEqual(await list(), uuids(videos.slice(0, 7)))
    })

    test('shows sensitive videos only where the instance displays them', async () => {
      const sensitive = await world.seed.video(world.creator.channel, { nsfw: true })
      world.daemon.suggests([sensitive, videos[0], videos[1]])
      assert.deepEqual(await list(), uuids([videos[0], videos[1]]))
      world.host.nsfwPolicy = 'display'
      await world.host.save(world.host.saved)
      assert.deepEqual(await list(), uuids([sensitive, videos[0], videos[1]]))
      assert.deepEqual(await list({ query: { nsfw: 'false' } }), uuids([videos[0], videos[1]]))
      assert.deepEqual(world.daemon.about('/v1/related').map(({ url }) => url.searchParams.get('nsfw')), ['0', '1', '0'])
    })

    test('is personal for those who want it, and kept apart', async () => {
      world.daemon.on('/v1/related', ({ url }) => ({
        videos: url.includes('viewer=') ? [videos[9], videos[8]] : [videos[0], videos[1]]
      }))
      assert.deepEqual(await list({ user: anna }), uuids([videos[0], videos[1]]))
      await world.call('PUT', 'viewer/v1/choice', { user: anna, json: { personal: true } })
      assert.deepEqual(await list({ user: anna }), uuids([videos[0], videos[1]]), 'nothing is known of those without a part')
      await world.call('PUT', 'viewer/v1/choice', { user: anna, json: { training: true } })
      assert.deepEqual(await list({ user: anna }), uuids([videos[9], videos[8]]))
      assert.deepEqual(await list(), uuids([videos[0], videos[1]]))
      assert.deepEqual(await list({ user: other }), uuids([videos[0], videos[1]]))
      const asked = world.daemon.about('/v1/related').map(({ url, headers }) => [url.searchParams.get('viewer'),
        headers['x-shoal-secret'] === world.host.secret])
      assert.deepEqual(asked.map(([, secret]) => secret), [true, true])
      assert.match(asked[1][0], /^[0-9a-f]{32}$/)
      await world.call('PUT', 'viewer/v1/choice', { user: anna, json: { personal: false } })
      assert.deepEqual(await list({ user: anna }), uuids([videos[0], videos[1]]))
    })

    test('is asked for in the viewer\'s language: the one told to PeerTube, else the browser\'s', async () => {
      world.daemon.suggests(videos)
      const asked = async (user, header) => {
        world.daemon.asked.length = 0
        await world.host.save(world.host.saved)
        await world.host.related(current.uuid, { user, language: header })
        return world.daemon.asked[0].url.searchParams.get('language')
      }
      const told = languages => world.database.rows(
        'UPDATE "user" SET "videoLanguages" = $1 WHERE id = $2', [languages, anna.id])
      assert.equal(await asked(undefined, 'pt-BR,en;q=0.8'), 'pt')
      assert.equal(await asked(undefined, '*'), null)
      await told(['_unknown', 'zh-Hans'])
      assert.equal(await asked(anna, 'pt-BR'), 'zh-Hans')
      await told(['fr', 'de'])
      assert.equal(await asked(anna, 'pt-BR'), 'pt')
      await told(null)
    })

    test('honours the scope that an owner set, where PeerTube has one', async () => {
      const far = await world.seed.remote('far.example')
      const remote = await world.seed.video(far.channel, { host: 'far.example' })
      const own = await world.seed.user(`own${major}`)
      const second = await world.seed.owner('videoChannel', { name: 'second', accountId: own.account.id })
      const mine = await world.seed.video(own.channel)
      const sibling = await world.seed.video(second)
      await world.database.rows('ALTER TABLE video ADD COLUMN "recommendationScope" integer NOT NULL DEFAULT 1')
      const scoped = await world.seed.video(own.channel)
      await world.host.unload()
      await world.host.load()
      world.daemon.suggests([remote, videos[0], sibling, mine])
      const all = [remote, videos[0], sibling, mine]
      const expected = { 1: all, 2: all.slice(1), 3: all.slice(2), 4: all.slice(3) }
      for (const [scope, wanted] of Object.entries(expected)) {
        await world.database.rows('UPDATE video SET "recommendationScope" = $1 WHERE id = $2', [Number(scope), scoped.id])
        await world.host.save(world.host.saved)
        // On a loaded machine the page may have had to go on without the list.
        let found = await shown(world, scoped.uuid)
        for (let again = 0; again < 5 && !isDeepStrictEqual(found, uuids(wanted)); again++) {
          found = await shown(world, scoped.uuid)
        }
        assert.deepEqual(found, uuids(wanted), `scope ${scope}`)
      }
    })
  })
}

describe('a video that is not public', () => {
  let world, hidden, current, open, member, admin
  before(async () => {
    world = await fixture({ parts: { clock: new ManualClock() } })
    hidden = await planted(world)
    current = await world.seed.video(world.creator.channel, { tags: ['sea'] })
    open = [await world.seed.video(world.creator.channel), await world.seed.video(world.creator.channel)]
    member = await world.seed.user('member')
    admin = await world.seed.user('admin', { role: 0 })
    await world.call('PUT', 'viewer/v1/choice', { user: member, json: { training: true } })
    world.daemon.suggests([...Object.values(hidden), ...open],
      { kind: 'tags', text: 'Same tags', users: 3, tags: ['sea'], via: Object.values(hidden).map(({ uuid }) => uuid) })
    world.daemon.on('/v1/viewers/known', () => ({
      videos: [...Object.values(hidden), open[0]].map(({ uuid, url }) => ({ uuid, url, liked: true, watched: 1 }))
    }))
  })
  after(() => world.close())

  const traces = () => Object.values(hidden).flatMap(({ uuid, url, name }) => [uuid, url, name])
  const assertNone = text => { for (const trace of traces()) assert.ok(!text.includes(trace), trace) }

  test('is on no page, whoever asks: also not for members, its owner, the admin', async () => {
    for (const user of [undefined, member, world.creator, admin]) {
      const response = await world.host.related(current.uuid, { user, tags: ['sea'] })
      const text = await response.text()
      assertNone(text)
      assert.deepEqual(JSON.parse(text).data.map(({ uuid }) => uuid), uuids(open))
    }
  })

  test('is in no reason, also not once it was public', async () => {
    const once = await world.seed.video(world.creator.channel, { name: 'once public' })
    world.daemon.suggests([once, ...Object.values(hidden), ...open])
    await world.host.save(world.host.saved)
    assert.deepEqual(await shown(world, current.uuid), uuids([once, ...open]))
    const before = await world.call('GET', `why/v1/reasons?video=${current.uuid}`)
    assert.deepEqual(Object.keys(before.body.reasons), uuids([once, ...open]))
    assert.deepEqual(before.body.reasons[once.uuid],
      { kind: 'tags', text: 'Same tags', users: null, tags: ['sea'], words: [], share: 1 })
    await world.database.rows('UPDATE video SET privacy = 3 WHERE id = $1', [once.id])
    const answer = await world.call('GET', `why/v1/reasons?video=${current.uuid}`)
    assert.deepEqual(Object.keys(answer.body.reasons), uuids(open))
    assertNone(answer.text)
    await world.database.rows('UPDATE video SET privacy = 3 WHERE id = $1', [current.id])
    assert.deepEqual((await world.call('GET', `why/v1/reasons?video=${current.uuid}`)).body.reasons, {})
    await world.database.rows('UPDATE video SET privacy = 1 WHERE id = $1', [current.id])
  })

  test('is in no export, no list of a viewer\'s and no log', async () => {
    const { marks } = (await world.export('status')).body
    for (const video of Object.values(hidden).filter(({ name }) => name !== 'secret deleted')) {
      await world.seed.rate(member.account, video)
      await world.seed.watch(member, video)
    }
    for (const path of ['status', 'videos', 'engagements?kind=rates&upto=999', 'engagements?kind=history&upto=999',
      `participants?rates=${marks.rates}&history=999`, 'exclusions']) {
      const { status, text } = await world.export(path)
      assert.equal(status, 200)
      assertNone(text)
    }
    const known = await world.call('GET', 'viewer/v1/known', { user: member })
    assert.deepEqual(known.body.videos.map(({ uuid }) => uuid), [open[0].uuid])
    assertNone(known.text)
    for (const { uuid } of Object.values(hidden)) {
      const answer = await world.call('POST', 'viewer/v1/hidden', { user: member, json: { kind: 'video', id: uuid } })
      assert.equal(answer.status, 404)
    }
    world.daemon.on('/v1/related', (_request, response) => { response.destroy() })
    await world.host.save(world.host.saved)
    for (let i = 0; i < 6; i++) await world.host.related(current.uuid)
    await until(() => world.host.logs.length > 0)
    assertNone(JSON.stringify(world.host.logs))
  })

  test('that was hidden by a viewer loses its name in their list, not its place', async () => {
    const video = await world.seed.video(world.creator.channel, { name: 'soon private' })
    await world.call('POST', 'viewer/v1/hidden', { user: member, json: { kind: 'video', id: video.uuid } })
    await world.database.rows('UPDATE video SET privacy = 3 WHERE id = $1', [video.id])
    const { body } = await world.call('GET', 'viewer/v1/hidden', { user: member })
    assert.deepEqual(body.videos.map(({ uuid, name }) => [uuid, name]), [[video.uuid, null]])
  })
})

describe('reasons', () => {
  test('of a personal list are told to nobody else', async () => {
    const world = await fixture({ parts: { clock: new ManualClock() } })
    try {
      const [current, a, b] = await Promise.all([1, 2, 3].map(() => world.seed.video(world.creator.channel)))
      const [anna, bob] = [await world.seed.user('anna'), await world.seed.user('bob')]
      await world.call('PUT', 'viewer/v1/choice', { user: anna, json: { training: true, personal: true } })
      const reason = kind => ({ kind, text: 'x', users: null, tags: [] })
      world.daemon.on('/v1/related', ({ url }) => ({
        videos: [a, b].map(video => ({ ...video, reason: reason(url.includes('viewer=') ? 'history' : 'popular') }))
      }))
      assert.deepEqual(await shown(world, current.uuid, { user: anna }), uuids([a, b]))
      const why = async user => (await world.call('GET', `why/v1/reasons?video=${current.uuid}`, { user })).body.reasons
      assert.equal((await why(anna))[a.uuid].kind, 'history')
      assert.equal((await why(bob))[a.uuid].kind, 'popular')
      assert.equal((await why(undefined))[a.uuid].kind, 'popular')
      await world.call('POST', 'viewer/v1/withdraw', { user: anna })
      assert.equal((await why(anna))[a.uuid].kind, 'popular', 'and to nobody at all after a withdrawal')
      assert.equal((await world.call('GET', 'why/v1/reasons?video=x')).status, 400)
    } finally {
      await world.close()
    }
  })

  test('hold nothing but short plain values, whatever the daemon says', async () => {
    const world = await fixture({ parts: { clock: new ManualClock() } })
    try {
      const [current, a, b] = await Promise.all([1, 2, 3].map(() => world.seed.video(world.creator.channel)))
      world.daemon.suggests([a, b], {
        kind: '<script>', text: `a\u0000b\n${'x'.repeat(9000)}`, users: -3, tags: [{}, 'y'.repeat(500), 'z', 'w', 'v'],
        words: ['w'.repeat(500), 7, 'a\u0000b', 'v'], share: '0.3', via: [a.url]
      })
      await shown(world, current.uuid)
      const reason = async () => (await world.call('GET', `why/v1/reasons?video=${current.uuid}`)).body.reasons[a.uuid]
      assert.deepEqual(await reason(), {
        kind: '', text: `a b ${'x'.repeat(196)}`, users: null, tags: ['y'.repeat(60), 'z'], words: ['w'.repeat(60), 'a b'], share: null
      })
      for (const [share, expected] of [[-1, 0], [0, 0], [0.25, 0.25], [7, 1], [undefined, null], [true, null]]) {
        world.daemon.suggests([a, b], { kind: 'words', text: 'x', users: null, tags: [], words: 'sea', share })
        await world.host.save(world.host.saved)
        await shown(world, current.uuid)
        const { words, share: told } = await reason()
        assert.deepEqual([words, told], [[], expected])
      }
    } finally {
      await world.close()
    }
  })
})
