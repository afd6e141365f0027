import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'

import { PLUGIN } from '../host/host.js'
import { fixture, pages, shown } from './fixture.js'

describe('the admin', () => {
  let world, admin, video, other
  before(async () => {
    world = await fixture()
    admin = await world.seed.user('admin', { role: 0 })
    video = await world.seed.video(world.creator.channel, { tags: ['sea'] })
    other = await world.seed.video(world.creator.channel, { tags: ['sea'] })
  })
  after(() => world.close())
  const put = json => world.call('PUT', 'admin/v1/exclusions', { user: admin, json })
  const checks = async () => {
    const { body } = await world.call('GET', 'admin/v1/diagnostics', { user: admin })
    return { ...body, checks: Object.fromEntries(body.checks.map(({ id, ...check }) => [id, check])) }
  }

  test('excludes channels, hosts and videos, also before they are known here', async () => {
    const wanted = { channels: ['https://a.example/video-channels/x'], hosts: ['b.example', 'c.example:8443'],
      videos: ['https://d.example/videos/watch/1'] }
    assert.deepEqual((await put({ ...wanted, hosts: ['C.example:8443 ', 'b.example', 'b.example'] })).body, wanted)
    assert.deepEqual((await world.call('GET', 'admin/v1/exclusions', { user: admin })).body, wanted)
    assert.deepEqual((await world.export('exclusions')).body, wanted)
    for (const json of [{ hosts: 'a' }, { hosts: ['https://a.example'] }, { hosts: ['a b'] }, { channels: ['x'] },
      { videos: ['javascript:alert(1)'] }, { videos: [7] }, { hosts: Array(1001).fill('a.example') }]) {
      assert.equal((await put(json)).status, 400, JSON.stringify(json).slice(0, 80))
    }
    assert.deepEqual((await world.export('exclusions')).body, wanted, 'what is refused changes nothing')
    assert.deepEqual((await put({})).body, { channels: [], hosts: [], videos: [] })
  })

  test('is told what is wrong and what to do', async () => {
    const first = await checks()
    assert.equal(first.ok, false)
    assert.equal(first.checks.daemon.ok, false)
    assert.match(first.checks.daemon.advice, /Start the daemon/)
    assert.equal(first.checks.secret.ok, null)
    assert.match(first.checks.related.message, /own list until the daemon answers/)
    assert.deepEqual(Object.entries(first.checks).filter(([, { ok }]) => ok === false).map(([id]) => id), ['daemon'],
      'what follows from it is said once')
    assert.ok(!JSON.stringify(first).includes(world.host.secret))

    // With another secret the daemon says of viewers and peers nothing.
    world.daemon.on('/v1/status', () => ({ mode: 'consume' }))
    const { checks: { sync, participants } } = await checks()
    for (const { ok, advice, message } of [sync, participants]) {
      assert.deepEqual([ok, message + advice], [null, 'Not known before the daemon has the same secret.'])
    }

    let refuses = true
    world.daemon.on('/v1/status', () => ({
      mode: 'consume', peers: [], source: { kind: 'peertube', last_sync: null }
    })).on('/v1/viewers/known', (_request, response) => {
      if (!refuses) return { videos: [] }
      response.writeHead(404).end()
    })
    const second = await checks()
    assert.deepEqual(Object.entries(second.checks).filter(([, { ok }]) => ok === false).map(([id]) => id),
      ['secret', 'sync', 'federation'])
    assert.match(second.checks.participants.advice, /Viewers who take part: 0\. With fewer than about 100, noise/)

    refuses = false
    world.daemon.on('/v1/status', () => ({
      mode: 'off', peers: [], source: { kind: 'peertube', last_sync: 1700000000 }
    }))
    const third = await checks()
    assert.equal(third.ok, true, JSON.stringify(third.checks))
    for (const { ok, message, advice } of Object.values(third.checks)) assert.ok(ok === null || (message && !advice))

    await world.host.save({ ...world.host.saved, 'daemon-url': 'ftp://x', secret: 'short' })
    const fourth = await checks()
    assert.match(fourth.checks.settings.advice, /secret of 16 to 200 characters/)
    assert.equal((await world.export('status')).status, 404, 'a short secret opens nothing')
    await world.host.save({ 'daemon-url': world.daemon.url, 'federation-url': world.daemon.url, 'related-list': true })
  })

  test('has viewers take part unasked only after typing that they do', async () => {
    const silent = await world.seed.user('silent')
    await world.seed.watch(silent, video)
    const urls = { 'daemon-url': world.daemon.url, 'federation-url': world.daemon.url, 'related-list': true }
    const takesPart = async () => {
      const { effective } = (await world.call('GET', 'viewer/v1/choice', { user: silent })).body
      const { consent, participants } = (await world.export('status')).body
      assert.deepEqual([consent === 'opt-out', participants > 0], Array(2).fill(effective.training))
      return effective.training
    }
    assert.match((await checks()).checks.consent.message, /only after they agreed/)

    for (const typed of [undefined, null, '', 'yes', true, ['viewers take part'], 'viewers take part without having said',
      'viewers take part without having said yes!']) {
      await world.host.save({ ...urls, consent: 'opt-out', 'opt-out-confirmation': typed })
      assert.equal(await takesPart(), false, String(typed))
      const { ok, checks: { consent } } = await checks()
      assert.deepEqual([ok, consent.ok], [false, false])
      assert.match(consent.advice, /only after they agreed, because the confirmation .* is missing/)
    }

    // Each language's description shows the sentence that it asks for.
    const { descriptionHTML } = world.host.declared.find(({ name }) => name === 'opt-out-confirmation')
    const french = JSON.parse(readFileSync(join(PLUGIN, 'languages/fr.json'), 'utf8'))[descriptionHTML]
    const sentences = [descriptionHTML, french].map(text => /<code>(.+)<\/code>/.exec(text)[1])
    assert.notEqual(sentences[0], sentences[1])
    for (const sentence of [...sentences, ` ${sentences[0].toUpperCase()} `]) {
      await world.host.save({ ...urls, consent: 'opt-out', 'opt-out-confirmation': sentence })
      assert.equal(await takesPart(), true, sentence)
      const { consent } = (await checks()).checks
      assert.equal(consent.ok, true)
      assert.match(consent.message, /that is no consent/)
      await world.host.save({ ...urls, consent: 'opt-in', 'opt-out-confirmation': sentence })
      assert.equal(await takesPart(), false)
    }
    await world.host.save(urls)
  })

  test('learns when pages do not say which video they show', async () => {
    for (let i = 0; i < 12; i++) await shown(world, video.uuid, { referer: null })
    const { checks: { related }, related: counts } = await checks()
    assert.equal(related.ok, false)
    assert.match(related.advice, /Referrer-Policy/)
    assert.ok(counts.lately.withoutVideo >= 12)
  })

  test('erases everything, and nothing comes back', async () => {
    const viewer = await world.seed.user('viewer')
    await world.call('PUT', 'viewer/v1/choice', { user: viewer, json: { training: true } })
    await world.call('PUT', 'viewer/v1/discovery', { user: viewer, json: { discovery: 'explore' } })
    await world.call('DELETE', 'viewer/v1/invitation', { user: await world.seed.user() })
    await world.seed.watch(viewer, video)
    const { secret } = world.host
    const { 'pseudonym-key': key } = await world.host.stored()
    assert.equal((await pages(world, 'engagements?kind=history&upto=99')).length, 1)

    const erase = json => world.call('POST', 'admin/v1/erase', { user: admin, json })
    assert.equal((await erase({ confirm: 'yes' })).status, 400)
    assert.equal((await erase({ confirm: 'erase' })).status, 200)
    const tables = await world.database.rows(
      'SELECT table_name FROM information_schema.tables WHERE table_name LIKE \'plugin_shoal%\'')
    assert.deepEqual(tables, [])
    const left = JSON.stringify(await world.database.rows('SELECT * FROM plugin'))
    assert.ok(!left.includes(secret) && !left.includes(key))
    assert.notEqual(world.host.saved['related-list'], false)

    // The daemon still gets in until the plugin goes, and finds nobody: its next check erases what it holds.
    const headers = { 'x-shoal-secret': secret }
    const get = path => world.call('GET', `export/v1/${path}`, { headers })
    assert.equal((await get('status')).body.participants, 0)
    for (const path of ['engagements?kind=history&upto=99', 'participants?rates=99&history=99']) {
      assert.deepEqual((await get(path)).body, { items: [], next: null })
    }
    assert.equal((await world.call('PUT', 'viewer/v1/choice', { user: viewer, json: { training: true } })).status, 410)
    assert.equal((await world.call('PUT', 'viewer/v1/discovery', { user: viewer, json: { discovery: 'explore' } })).status, 410)
    assert.equal((await world.call('GET', 'viewer/v1/invitation', { user: viewer })).status, 410)
    assert.equal((await put({})).status, 410)
    world.daemon.suggests([video, other])
    assert.deepEqual(await shown(world, video.uuid, { tags: ['sea'] }), [other.uuid, video.uuid])
    assert.equal((await checks()).checks.tables.ok, false)

    await world.host.unload()
    await world.host.load()
    assert.notEqual(world.host.secret, secret)
    assert.equal((await world.export('status')).body.participants, 0)
    assert.deepEqual((await world.call('GET', 'viewer/v1/discovery', { user: viewer })).body, { discovery: null })
  })
})
