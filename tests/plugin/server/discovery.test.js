import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'

import { ManualClock } from '../host/clock.js'
import { fixture, shown } from './fixture.js'

const ORDERS = { familiar: [0, 1], balanced: [1, 2], explore: [3, 2], none: [2, 0] }

describe('how far lists lead', () => {
  let world, clock, current, videos, anna, bob
  before(async () => {
    clock = new ManualClock()
    world = await fixture({ parts: { clock } })
    const { seed, creator } = world
    current = await seed.video(creator.channel, { tags: ['sea'] })
    videos = []
    for (let i = 0; i < 4; i++) videos.push(await seed.video(creator.channel))
    anna = await seed.user('anna')
    bob = await seed.user('bob')
  })
  after(() => world.close())
  beforeEach(async () => {
    await choose(null, anna)
    await choose(null, bob)
    await world.host.save(world.host.saved)
    world.daemon.asked.length = 0
    world.daemon.on('/v1/related', ({ url }) => {
      const chosen = new URL(url, 'http://daemon').searchParams.get('discovery') ?? 'none'
      return {
        model: 'm1',
        videos: ORDERS[chosen].map(place => ({ ...videos[place], reason: { kind: 'x', text: chosen, users: null, tags: [] } }))
      }
    })
  })
  const choose = (discovery, user) => world.call('PUT', 'viewer/v1/discovery', { user, json: { discovery } })
  const list = user => shown(world, current.uuid, { user })
  const listOf = name => ORDERS[name].map(place => videos[place].uuid)
  const asked = () => world.daemon.about('/v1/related').map(({ url }) => url.searchParams.get('discovery'))
  const why = async user => {
    const { reasons } = (await world.call('GET', `why/v1/reasons?video=${current.uuid}`, { user })).body
    return Object.entries(reasons).map(([uuid, { text }]) => [uuid, text])
  }

  test('is what each viewer chose, and nobody else\'s list changes', async () => {
    assert.deepEqual(await list(anna), listOf('none'))
    for (const name of ['familiar', 'balanced', 'explore']) {
      await choose(name, anna)
      assert.deepEqual(await list(anna), listOf(name))
      assert.deepEqual(await list(bob), listOf('none'))
      assert.deepEqual(await list(), listOf('none'))
    }
    await choose('familiar', bob)
    assert.deepEqual(await list(bob), listOf('familiar'))
    await choose(null, anna)
    assert.deepEqual(await list(anna), listOf('none'))
    assert.deepEqual(asked(), [null, 'familiar', 'balanced', 'explore'], 'each list once, and no choice is not sent')
    for (const { url } of world.daemon.about('/v1/related')) assert.equal(url.searchParams.get('viewer'), null)
  })

  test('is sent for personal lists as well', async () => {
    await world.call('PUT', 'viewer/v1/choice', { user: bob, json: { training: true, personal: true } })
    await choose('explore', bob)
    assert.deepEqual(await list(bob), listOf('explore'))
    const [{ url }] = world.daemon.about('/v1/related')
    assert.equal(url.searchParams.get('discovery'), 'explore')
    assert.match(url.searchParams.get('viewer'), /^[0-9a-f]{32}$/)
    assert.deepEqual(await why(bob), listOf('explore').map(uuid => [uuid, 'explore']))
    await choose('familiar', bob)
    assert.deepEqual(await list(bob), listOf('familiar'))
    await world.call('POST', 'viewer/v1/withdraw', { user: bob })
    assert.deepEqual(await list(bob), listOf('none'))
  })

  test('has reasons that only those see who chose the same', async () => {
    await choose('explore', anna)
    await list(anna)
    assert.deepEqual(await why(anna), listOf('explore').map(uuid => [uuid, 'explore']))
    assert.deepEqual(await why(bob), listOf('none').map(uuid => [uuid, 'none']))
    assert.deepEqual(await why(), await why(bob))
    assert.deepEqual(await why(anna), listOf('explore').map(uuid => [uuid, 'explore']))
  })

  test('can be nothing else, whoever writes to the database', async () => {
    await choose('familiar', anna)
    await assert.rejects(world.database.rows('UPDATE plugin_shoal_discovery SET discovery = \'else\''), /check/)
  })
})
