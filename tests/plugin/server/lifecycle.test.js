import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { ManualClock } from '../host/clock.js'
import { createHost } from '../host/host.js'
import { OPT_OUT, fixture, shown } from './fixture.js'

test('a fresh installation works with its own defaults', async () => {
  const host = await createHost({ shared: true, saved: null })
  try {
    await host.load()
    assert.equal(host.saved, null, 'no setting is written: PeerTube would take the others away')
    assert.match(host.secret, /^[\w-]{32}$/)
    assert.deepEqual(host.publicSettings(), { 'related-list': true, 'browser-suggestions': false })
    for (const setting of host.declared) assert.equal(typeof setting.private, 'boolean', setting.name)
    assert.ok(!JSON.stringify(host.publicSettings()).includes(host.secret))
    const { secret } = host
    await host.unload()
    await host.load()
    assert.equal(host.secret, secret, 'the secret stays')
    assert.deepEqual(host.logs, [])
  } finally {
    await host.close()
  }
})

describe('settings', () => {
  test('that were never saved keep their defaults after others were', async () => {
    const world = await fixture()
    try {
      await world.host.save(OPT_OUT)
      assert.equal((await world.export('status')).body.consent, 'opt-out')
      const { secret } = await world.host.stored()
      assert.match(secret, /^[\w-]{32}$/)
      await world.host.save({ 'related-list': 'true', ...OPT_OUT, consent: 'whatever', secret: '' })
      const headers = { 'x-shoal-secret': secret }
      const { body } = await world.call('GET', 'export/v1/status', { headers })
      assert.equal(body.consent, 'opt-in')
      await world.host.save({ secret: 'of-the-admin\'s-own-choice' })
      assert.equal((await world.call('GET', 'export/v1/status', { headers })).status, 404)
      assert.equal((await world.export('status')).status, 200)
    } finally {
      await world.close()
    }
  })

  test('are read once, not with every search; what was decided is read each time', async () => {
    const world = await fixture({ parts: { clock: new ManualClock() } })
    try {
      const [a, b, c] = await Promise.all([1, 2, 3].map(() => world.seed.video(world.creator.channel)))
      world.daemon.suggests([b, c])
      await shown(world, a.uuid)
      world.database.seen.length = 0
      for (let i = 0; i < 5; i++) assert.deepEqual(await shown(world, a.uuid), [b.uuid, c.uuid])
      const decided = /FROM plugin_shoal_(exclusion|excluded_channel)/
      assert.equal(world.database.seen.length, 10)
      for (const { sql, useMaster } of world.database.seen) assert.ok(decided.test(sql) && useMaster, sql)
    } finally {
      await world.close()
    }
  })
})

test('register never throws, whatever fails', async () => {
  for (const broken of ['database', 'storage', 'hooks']) {
    const host = await createHost({ shared: true, saved: null })
    try {
      const fail = () => Promise.reject(new Error('out of order'))
      if (broken === 'database') host.queryDelay = fail
      if (broken === 'hooks') host.hooks.get = () => { throw new Error('out of order') }
      if (broken === 'storage') await host.database.rows('DELETE FROM plugin')
      await host.load()
      assert.equal(host.logs.at(-1)?.level, 'error', broken)
      assert.match(host.logs.at(-1).message, /^the plugin could not start; PeerTube works as without it/)
      assert.equal((await host.fetch('/api/v1/search/videos?start=0&count=7')).status, broken === 'hooks' ? 500 : 200)
      host.hooks = new Map()
      await host.unload()
      host.queryDelay = undefined
    } finally {
      await host.close()
    }
  }
})

test('ten rounds of unregister and register leave one set of hooks and work', async () => {
  const parts = { clock: new ManualClock() }
  const world = await fixture({ parts })
  try {
    const [a, b, c] = await Promise.all([1, 2, 3].map(() => world.seed.video(world.creator.channel)))
    world.daemon.suggests([c, b])
    for (let round = 0; round < 10; round++) {
      await world.host.unload()
      await world.host.load(parts)
    }
    assert.deepEqual([...world.host.hooks.values()].map(handlers => handlers.length), [1, 1])
    assert.deepEqual(await shown(world, a.uuid), [c.uuid, b.uuid])
    const choices = await world.database.rows('SELECT count(*) AS n FROM plugin_shoal_choice')
    assert.deepEqual(choices, [{ n: '0' }])
  } finally {
    await world.close()
  }
})

test('unregister before register is no error', async () => {
  const { createRequire } = await import('node:module')
  const library = createRequire(import.meta.url)('../../../peertube-plugin/server/main.js')
  await library.unregister()
  await library.unregister()
})
