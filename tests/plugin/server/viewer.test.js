import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'

import { OPT_OUT, fixture, pages } from './fixture.js'

for (const major of [7, 8]) {
  describe(`a viewer's say on PeerTube ${major}`, () => {
    let world, anna, video
    before(async () => {
      world = await fixture({ major })
      anna = await world.seed.user('anna')
      video = await world.seed.video(world.creator.channel, { name: 'a video' })
      await world.seed.watch(anna, video)
    })
    after(() => world.close())
    const put = json => world.call('PUT', 'viewer/v1/choice', { user: anna, json })
    const get = async path => (await world.call('GET', path, { user: anna })).body
    const exported = () => pages(world, 'engagements?kind=history&upto=999')

    test('begins as the admin set it, and is told so', async () => {
      const initial = { training: false, personal: false, chosen: false, history: true, consent: 'opt-in',
        effective: { training: false, personal: false } }
      assert.deepEqual(await get('viewer/v1/choice'), initial)
      await world.host.save({ ...world.host.saved, ...OPT_OUT })
      assert.deepEqual(await get('viewer/v1/choice'),
        { ...initial, training: true, consent: 'opt-out', effective: { training: true, personal: false } })
      await world.host.save({ ...world.host.saved, consent: 'opt-in' })
    })

    test('is kept part by part', async () => {
      assert.deepEqual((await put({ training: true })).body.effective, { training: true, personal: false })
      assert.deepEqual((await put({ personal: true })).body.effective, { training: true, personal: true })
      const both = await get('viewer/v1/choice')
      assert.deepEqual([both.training, both.personal, both.chosen], [true, true, true])
      assert.equal((await exported()).length, 1)
      assert.deepEqual((await put({ training: false })).body.effective, { training: false, personal: false })
      assert.equal((await exported()).length, 0)
    })

    test('does nothing while history is off in PeerTube', async () => {
      await put({ training: true, personal: true })
      await world.database.rows('UPDATE "user" SET "videosHistoryEnabled" = false WHERE id = $1', [anna.id])
      const { training, history, effective } = await get('viewer/v1/choice')
      assert.deepEqual([training, history, effective], [true, false, { training: false, personal: false }])
      assert.equal((await exported()).length, 0)
      await world.database.rows('UPDATE "user" SET "videosHistoryEnabled" = true WHERE id = $1', [anna.id])
    })

    test('that cannot be understood is refused', async () => {
      for (const json of [{}, { training: 'yes' }, { training: true, personal: 1 }, { other: true }, []]) {
        assert.equal((await put(json)).status, 400, JSON.stringify(json))
      }
    })

    test('withdrawing ends the part, and the daemon has forgotten when it answers', async () => {
      await put({ training: true, personal: true })
      const [{ viewer }] = await exported()
      world.daemon.on('/v1/viewers/forget', (_request, response) => { response.writeHead(204).end() })
      assert.equal((await world.call('POST', 'viewer/v1/withdraw', { user: anna })).status, 204)
      const [{ method, headers, body }] = world.daemon.about('/v1/viewers/forget')
      assert.deepEqual([method, headers['x-shoal-secret'], JSON.parse(body)], ['POST', world.host.secret, { viewer }])
      assert.deepEqual(await exported(), [])
      const { training, personal } = await get('viewer/v1/choice')
      assert.deepEqual([training, personal], [false, false])
    })

    test('withdrawing counts even when the daemon is away, and says so', async () => {
      await put({ training: true })
      world.daemon.on('/v1/viewers/forget', (_request, response) => { response.destroy() })
      const { status, body } = await world.call('POST', 'viewer/v1/withdraw', { user: anna })
      assert.equal(status, 502)
      assert.match(body.error, /^You no longer take part/)
      assert.deepEqual(await exported(), [])
    })

    test('how far lists lead is kept apart from the consent and its time, and goes with a withdrawal', async () => {
      const user = await world.seed.user()
      const discovery = async () => (await world.call('GET', 'viewer/v1/discovery', { user })).body
      const choose = json => world.call('PUT', 'viewer/v1/discovery', { user, json })
      const consented = () => world.database.rows('SELECT * FROM plugin_shoal_choice WHERE "userId" = $1', [user.id])
      assert.deepEqual(await discovery(), { discovery: null }, 'nothing is chosen')
      await choose({ discovery: 'explore' })
      assert.deepEqual(await consented(), [])
      assert.equal((await world.call('GET', 'viewer/v1/choice', { user })).body.chosen, false)

      await world.call('PUT', 'viewer/v1/choice', { user, json: { training: true } })
      const before = await consented()
      for (const position of ['familiar', 'balanced', 'explore', null, 'familiar']) {
        const { status, body } = await choose({ discovery: position })
        assert.deepEqual([status, body], [200, { discovery: position }])
        assert.deepEqual(await discovery(), { discovery: position })
      }
      assert.deepEqual(await consented(), before)
      const { body } = await world.call('GET', 'viewer/v1/discovery', { user: world.creator })
      assert.deepEqual(body, { discovery: null }, 'nobody chooses for another')

      for (const json of [{}, [], { discovery: 'Explore' }, { discovery: '' }, { discovery: 1 }, { discovery: ['explore'] },
        { discovery: {} }, { discovery: 'toString' }, { discovery: false }, { training: true }]) {
        const { status, body: { error } } = await choose(json)
        assert.deepEqual([status, error], [400, 'Give discovery as familiar, balanced, explore, or null for what the site sets.'])
      }
      assert.deepEqual(await discovery(), { discovery: 'familiar' }, 'what is refused changes nothing')
      await world.call('POST', 'viewer/v1/withdraw', { user })
      assert.deepEqual(await discovery(), { discovery: null })
    })

    test('goes with the user', async () => {
      const gone = await world.seed.user()
      await world.call('PUT', 'viewer/v1/choice', { user: gone, json: { training: true } })
      await world.call('PUT', 'viewer/v1/discovery', { user: gone, json: { discovery: 'explore' } })
      await world.call('POST', 'viewer/v1/hidden', { user: gone, json: { kind: 'video', id: video.uuid } })
      const rows = () => Promise.all(['choice', 'discovery', 'hidden'].map(async name => (
        (await world.database.rows(`SELECT * FROM plugin_shoal_${name} WHERE "userId" = $1`, [gone.id])).length)))
      assert.deepEqual(await rows(), [1, 1, 1])
      await world.database.rows('DELETE FROM "user" WHERE id = $1', [gone.id])
      assert.deepEqual(await rows(), [0, 0, 0])
    })

    test('what is known comes from the daemon, under the pseudonym of this viewer, readable', async () => {
      await put({ training: true })
      const [{ viewer }] = await exported()
      world.daemon.on('/v1/viewers/known', () => ({
        videos: [{ uuid: video.uuid, url: video.url, liked: false, disliked: true, watched: 0.25, at: 1700000000 }]
      }))
      assert.deepEqual(await get('viewer/v1/known'), {
        videos: [{ uuid: video.uuid, url: video.url, title: 'a video', liked: false, disliked: true, watched: 0.25, at: 1700000000 }]
      })
      assert.deepEqual(JSON.parse(world.daemon.about('/v1/viewers/known').at(-1).body), { viewer })
      world.daemon.answers.delete('/v1/viewers/known')
      assert.equal((await world.call('GET', 'viewer/v1/known', { user: anna })).status, 502)
    })

    test('hidden things: listed, undone, each viewer\'s own', async () => {
      const hide = (json, user = anna) => world.call('POST', 'viewer/v1/hidden', { user, json })
      const channel = world.creator.channel
      assert.equal((await hide({ kind: 'video', id: video.uuid })).status, 204)
      assert.equal((await hide({ kind: 'video', id: video.url })).status, 204, 'twice is as good as once')
      assert.equal((await hide({ kind: 'channel', id: channel.url })).status, 204)
      const { videos, channels } = await get('viewer/v1/hidden')
      assert.deepEqual(videos.map(({ uuid, name, url }) => [uuid, name, url]), [[video.uuid, 'a video', video.url]])
      assert.deepEqual(channels.map(({ name, url }) => [name, url]), [[channel.name, channel.url]])
      assert.ok(Math.abs(videos[0].at - Date.now() / 1000) < 600)

      const other = await world.seed.user('other')
      const show = (json, user) => world.call('DELETE', 'viewer/v1/hidden', { user, json })
      await show({ kind: 'video', id: videos[0].id }, other)
      assert.equal((await get('viewer/v1/hidden')).videos.length, 1, 'nobody undoes another\'s')
      await show({ kind: 'video', id: video.uuid }, anna)
      await show({ kind: 'channel', id: channels[0].id }, anna)
      assert.deepEqual(await get('viewer/v1/hidden'), { videos: [], channels: [] })

      for (const json of [{}, { kind: 'host', id: 'a' }, { kind: 'video' }, { kind: 'video', id: {} },
        { kind: 'video', id: 'x'.repeat(3000) }]) {
        assert.equal((await hide(json)).status, 400, JSON.stringify(json))
      }
      for (const json of [{ kind: 'video', id: 7 }, { kind: 'video', id: 'nonsense' }, { kind: 'channel', id: video.url }]) {
        assert.equal((await hide(json)).status, 404, JSON.stringify(json))
      }
    })

    test('an owner takes out their own channels, nobody else\'s', async () => {
      const { url, name } = anna.channel
      assert.deepEqual(await get('owner/v1/channels'), { channels: [{ url, name, excluded: false }] })
      const exclude = json => world.call('PUT', 'owner/v1/channels', { user: anna, json })
      assert.deepEqual((await exclude({ [url]: true })).body, { channels: [{ url, name, excluded: true }] })
      assert.deepEqual((await world.export('exclusions')).body.channels, [url])
      assert.equal((await exclude({ [url]: false, [world.creator.channel.url]: true })).status, 403)
      assert.deepEqual((await world.export('exclusions')).body.channels, [url], 'and then nothing changes')
      for (const json of [{}, [], { [url]: 'yes' }]) assert.equal((await exclude(json)).status, 400)
      await exclude({ [url]: false })
      assert.deepEqual((await world.export('exclusions')).body.channels, [])
    })

    test('about says who receives sums, and nothing about how many take part', async () => {
      const silent = { consent: 'opt-in', exact: null, mode: null, peers: [], next: null, daemon: false }
      assert.deepEqual(await get('viewer/v1/about'), silent)
      world.daemon.on('/v1/status', () => ({ mode: 'contribute' }))
      assert.deepEqual(await get('viewer/v1/about'), { ...silent, daemon: true }, 'a daemon with another secret')

      world.daemon.on('/v1/status', () => ({
        mode: 'contribute', peers: ['a.example', 7], next: { sync: 1.8e9, round: 1.9e9 }, source: { kind: 'peertube', exact_own: false, participants: 77, viewers: 77 }
      }))
      const answers = []
      for (const training of [false, true]) {
        await put({ training })
        answers.push((await world.call('GET', 'viewer/v1/about', { user: anna })).text)
      }
      assert.deepEqual(JSON.parse(answers[0]),
        { consent: 'opt-in', exact: false, mode: 'contribute', peers: ['a.example'], next: 1.8e9, daemon: true })
      assert.equal(answers[1], answers[0], 'one more or less shows nowhere')
    })
  })
}
