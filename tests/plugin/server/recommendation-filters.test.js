import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'

import { ManualClock } from '../host/clock.js'
import { createHost } from '../host/host.js'
import { fixture, shown } from './fixture.js'

const PARAMS = 'filter:api.recommendations.videos.list.params'
const RESULT = 'filter:api.recommendations.videos.list.result'

describe('a PeerTube with a route for recommendations', () => {
  let world, host, current, videos, anna
  before(async () => {
    world = await fixture({ major: 9, parts: { clock: new ManualClock() } })
    const { seed, creator } = world
    current = await seed.video(creator.channel)
    videos = []
    for (let i = 0; i < 4; i++) videos.push(await seed.video(creator.channel))
    anna = await seed.user('anna')
    host = await createHost({ beside: world.host, filters: [PARAMS, RESULT] })
    await host.load({ clock: new ManualClock() })
    world.daemon.suggests([videos[2], videos[0], videos[3]])
  })
  after(async () => {
    await host.close()
    await world.close()
  })
  const uuids = list => list.map(({ uuid }) => uuid)
  const request = (uuid = current.uuid) => ({ req: { query: {}, headers: { referer: `${host.url}/w/${uuid}`, 'accept-language': 'fr' } } })
  const search = wanted => videos.filter(({ uuid }) => !wanted || wanted.includes(uuid))
  const ask = async ({ params = {}, context = request(), found = search } = {}) => {
    const given = { start: 0, count: 2, strategy: 'related', ...params }
    const changed = await host.runFilter(PARAMS, given, context)
    const data = found(changed.uuids).map(video => ({ ...video, VideoChannel: { accountId: 1 } }))
    const result = await host.runFilter(RESULT, { data, total: data.length }, changed)
    return { given, changed, shown: uuids(result.data) }
  }

  test('gets the daemon\'s list for the video on the page, in its order', async () => {
    const { changed, shown: list } = await ask()
    assert.deepEqual(changed.uuids, uuids([videos[2], videos[0], videos[3]]))
    assert.equal(changed.strategy, 'related')
    assert.deepEqual(list, uuids([videos[2], videos[0]]))
    assert.equal(world.daemon.about('/v1/related').at(-1).url.searchParams.get('language'), 'fr')
  })

  test('keeps its own list where it does not look for given videos', async () => {
    const own = [videos[1], current]
    assert.deepEqual((await ask({ found: () => own })).shown, uuids(own))
  })

  test('is left alone on pages without a video, and where the list is off', async () => {
    for (const context of [null, {}, { req: { query: {}, headers: {} } }, { req: { query: {}, headers: { referer: `${host.url}/` } } }]) {
      const { given, changed } = await ask({ context })
      assert.equal(changed, given)
    }
    for (const count of ['x', 0, 31, undefined]) {
      const { given, changed } = await ask({ params: { count } })
      assert.equal(changed, given)
    }
    await host.save({ ...host.saved, 'related-list': false })
    const { given, changed } = await ask()
    assert.equal(changed, given)
    await host.save({ ...host.saved, 'related-list': true })
  })

  test('shows nobody what they hid', async () => {
    await world.call('POST', 'viewer/v1/hidden', { user: anna, json: { kind: 'video', id: videos[2].uuid } })
    assert.deepEqual((await ask({ params: { user: anna } })).shown, uuids([videos[0], videos[3]]))
    assert.deepEqual((await ask()).shown, uuids([videos[2], videos[0]]))
  })
})

test('a PeerTube that cannot have the route is not asked for its filters', async () => {
  for (const [major, warnings] of [[7, 0], [8, 0], [9, 2]]) {
    const world = await fixture({ major, parts: { clock: new ManualClock() } })
    try {
      assert.deepEqual(world.host.logs.map(({ message }) => message),
        [PARAMS, RESULT].slice(0, warnings).map(name => `Unknown hook ${name} of plugin shoal. Skipping.`))
      const [current, a, b] = await Promise.all([1, 2, 3].map(() => world.seed.video(world.creator.channel)))
      world.daemon.suggests([a, b])
      assert.deepEqual(await shown(world, current.uuid), [a.uuid, b.uuid])
    } finally {
      await world.close()
    }
  }
})
