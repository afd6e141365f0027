import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, afterEach, before, describe, test } from 'node:test'

import { ManualClock } from '../host/clock.js'
import { fixture, shown, until } from './fixture.js'

describe('with a daemon that fails', () => {
  let world, clock, current, other, videos
  before(async () => {
    clock = new ManualClock()
    world = await fixture({ parts: { clock } })
    const { seed, creator } = world
    current = await seed.video(creator.channel, { tags: ['sea'] })
    other = await seed.video(creator.channel, { tags: ['sea'] })
    videos = [await seed.video(creator.channel), await seed.video(creator.channel)]
  })
  after(() => world.close())
  afterEach(async () => {
    world.daemon.answers.clear()
    world.daemon.model = 'm1'
    clock.advance(60_000)
    await until(() => clock.waiting === 0 || quiet())
    world.daemon.asked.length = 0
    await world.host.save(world.host.saved)
  })
  const list = () => shown(world, current.uuid, { tags: ['sea'] })
  /** Nothing is under way: what waits is only the next question which model serves, not an answer to it. */
  const quiet = () => clock.waiting === 1 && clock.soonest > 1000
  const stock = () => [other.uuid, current.uuid]
  const mine = () => videos.map(({ uuid }) => uuid)

  const answers = {
    'an error': (_request, response) => { response.writeHead(500).end('no') },
    nonsense: (_request, response) => { response.end('<html>') },
    'JSON of another kind': () => [1, 2],
    'a list of nonsense': () => ({ videos: [{ uuid: 'a' }, 7, null] }),
    nothing: (_request, response) => { response.writeHead(204).end() },
    'a redirect': (_request, response) => { response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end() },
    'half an answer': (_request, response) => {
      response.writeHead(200, { 'content-length': 100 })
      response.write('{"videos"', () => response.destroy())
    },
    '10 MB': (_request, response) => { response.end(`{"videos":[],"x":"${'x'.repeat(10e6)}"}`) },
    '10 MB without saying so': (_request, response) => {
      response.write(`{"videos":[],"x":"${'x'.repeat(5e6)}`)
      response.end('x'.repeat(5e6))
    },
    'a closed connection': (_request, response) => { response.destroy() }
  }
  for (const [name, answer] of Object.entries(answers)) {
    test(`${name}: PeerTube's own list`, async () => {
      world.daemon.on('/v1/related', answer)
      assert.deepEqual(await list(), stock())
      assert.ok(quiet(), 'no timer is left')
    })
  }

  test('hanging: PeerTube\'s own list after exactly 250 ms', async () => {
    let release
    world.daemon.on('/v1/related', () => new Promise(resolve => { release = resolve }))
    let done = false
    const answer = list().finally(() => { done = true })
    await until(() => world.daemon.about('/v1/related').length === 1)
    clock.advance(249)
    await new Promise(resolve => setTimeout(resolve, 30))
    assert.equal(done, false)
    clock.advance(1)
    assert.deepEqual(await answer, stock())
    clock.advance(1750)
    await until(() => world.daemon.about('/v1/related')[0].left)
    release()
    await until(quiet)
  })

  test('a database that hangs does not hold up the list either', async () => {
    world.daemon.suggests(videos)
    let release
    world.host.queryDelay = () => new Promise(resolve => { release = resolve })
    const answer = list()
    await until(() => release !== undefined)
    clock.advance(1000)
    assert.deepEqual(await answer, stock())
    world.host.queryDelay = undefined
    release()
  })

  test('too slow once: the answer is kept for the next visitor', async () => {
    let release
    world.daemon.on('/v1/related', () => new Promise(resolve => { release = () => resolve({ videos }) }))
    const answer = list()
    await until(() => world.daemon.about('/v1/related').length === 1)
    clock.advance(300)
    assert.deepEqual(await answer, stock())
    release()
    await until(quiet)
    assert.deepEqual(await list(), mine())
    assert.equal(world.daemon.about('/v1/related').length, 1)
  })

  test('after five failures nobody waits for it, until it is well again; both is said once', async () => {
    let well = false
    world.daemon.on('/v1/related', (_request, response) => {
      if (well) return { videos }
      response.destroy()
    })
    const asked = () => world.daemon.about('/v1/related').length
    for (let i = 0; i < 9; i++) assert.deepEqual(await list(), stock())
    assert.equal(asked(), 5)
    well = true
    assert.deepEqual(await list(), stock(), 'it is left alone for five seconds')
    assert.equal(asked(), 5)
    clock.advance(5000)
    assert.deepEqual(await list(), stock(), 'it is asked without anybody waiting')
    await until(quiet)
    for (let i = 0; i < 3; i++) assert.deepEqual(await list(), mine())
    assert.equal(asked(), 6)
    const lines = world.host.logs.splice(0).map(({ level, message }) => `${level}: ${message}`)
    assert.equal(lines.length, 2)
    assert.match(lines[0], /^warn: the daemon gives no lists: .* \(TypeError/)
    assert.equal(lines[1], 'info: the daemon answers again: it fills the related lists')
  })

  test('until there is a model nobody waits, and the first one is said', async () => {
    world.daemon.model = ''
    world.daemon.on('/v1/related', (_request, response) => { response.writeHead(503).end('{}') })
    for (let i = 0; i < 7; i++) assert.deepEqual(await list(), stock())
    clock.advance(2000)
    await until(quiet)
    world.daemon.model = 'first'
    world.daemon.suggests(videos)
    clock.advance(5000)
    await until(quiet)
    assert.deepEqual(await list(), stock())
    await until(quiet)
    assert.deepEqual(await list(), mine())
    assert.deepEqual(world.host.logs.splice(0).map(({ message }) => message), [
      'the daemon gives no lists: PeerTube shows its own related lists until it does (DaemonError, REFUSED)',
      'the daemon answers again: it fills the related lists'
    ])
  })

  test('one that is too slow is called slow, in the log and to the admin', async () => {
    const admin = await world.seed.user('admin', { role: 0 })
    world.daemon.on('/v1/related', () => new Promise(() => {})).on('/v1/status', () => ({ mode: 'off', model: 'm1' }))
    for (let i = 1; i <= 3; i++) {
      const answer = list()
      await until(() => world.daemon.about('/v1/related').length === i)
      clock.advance(250)
      assert.deepEqual(await answer, stock())
      clock.advance(1750)
      await until(quiet)
    }
    for (let i = 0; i < 10; i++) assert.deepEqual(await list(), stock())
    assert.deepEqual(world.host.logs.splice(0).map(({ message }) => message),
      ['the daemon takes too long to answer: PeerTube shows its own related lists until it is faster'])
    const { body } = await world.call('GET', 'admin/v1/diagnostics', { user: admin })
    assert.match(body.checks.find(({ id }) => id === 'related').advice, /within 250 ms.*the load of its machine/)
  })

  test('an ageing list is shown while a new one is fetched; one too old is not', async () => {
    world.daemon.suggests(videos)
    assert.deepEqual(await list(), mine())
    world.daemon.suggests([videos[1], videos[0]])
    clock.advance(61_000)
    assert.deepEqual(await list(), mine())
    await until(quiet)
    assert.deepEqual(await list(), [videos[1].uuid, videos[0].uuid])
    world.daemon.on('/v1/related', answers['an error'])
    clock.advance(601_000)
    assert.deepEqual(await list(), stock())
  })

  test('a list of a model that was taken out is not shown any more', async () => {
    world.daemon.model = 'with-the-peer'
    world.daemon.suggests(videos)
    assert.deepEqual(await list(), mine())
    clock.advance(2000)
    await until(quiet)
    assert.deepEqual(await list(), mine(), 'nothing changed')
    assert.equal(world.daemon.about('/v1/related').length, 1)
    world.daemon.model = 'without-it'
    world.daemon.suggests([videos[1], videos[0]])
    assert.deepEqual(await list(), mine(), 'for two seconds at most')
    clock.advance(2000)
    await until(quiet)
    assert.deepEqual(await list(), [videos[1].uuid, videos[0].uuid], 'at the first visit after that')
    assert.equal(world.daemon.about('/v1/related').length, 2)
    world.daemon.model = ''
    world.daemon.on('/v1/related', (_request, response) => { response.writeHead(503).end('{}') })
    clock.advance(2000)
    await until(quiet)
    assert.deepEqual(await list(), stock(), 'no model may serve')
  })

  test('nor is one that was under way when the model changed', async () => {
    world.daemon.model = 'with-the-peer'
    world.daemon.suggests(videos)
    const beside = await world.seed.video(world.creator.channel)
    await shown(world, beside.uuid)
    let release
    const old = world.daemon.answers.get('/v1/related')()
    world.daemon.on('/v1/related', () => new Promise(resolve => { release = () => resolve(old) }))
    const answer = list()
    await until(() => release)
    world.daemon.model = 'without-it'
    world.daemon.suggests([videos[1], videos[0]])
    clock.advance(200)
    await shown(world, beside.uuid)
    clock.advance(40)
    world.daemon.on('/health/ready', () => ({ ready: true, model: 'without-it' }))
    clock.advance(9)
    // The question which model serves is answered before the list of the old one.
    const other = await world.seed.video(world.creator.channel)
    assert.deepEqual(await shown(world, other.uuid), [videos[1].uuid, videos[0].uuid])
    release()
    assert.deepEqual(await answer, [videos[1].uuid, videos[0].uuid], 'it is asked for again')
    assert.deepEqual(await list(), [videos[1].uuid, videos[0].uuid], 'and what came first is not kept')
  })

  test('a list in memory waits neither for which model serves nor for the daemon', async () => {
    world.daemon.suggests(videos)
    assert.deepEqual(await list(), mine())
    world.daemon.on('/health/ready', () => new Promise(() => {})).on('/v1/related', () => new Promise(() => {}))
    clock.advance(2000)
    await until(() => world.daemon.about('/health/ready').length > 0)
    for (let i = 0; i < 5; i++) assert.deepEqual(await list(), mine(), 'no time passes')
    clock.advance(60_000)
    assert.deepEqual(await list(), mine(), 'nor while a newer one is asked for')
  })

  test('nobody asks which model serves where no list was looked at for long', async () => {
    world.daemon.suggests(videos)
    await list()
    const asked = () => world.daemon.about('/health/ready').length
    for (let i = 1; i < 300; i++) {
      clock.advance(2000)
      await until(quiet)
      assert.equal(asked(), i)
    }
    clock.advance(2000)
    await until(() => clock.waiting === 0)
    assert.equal(asked(), 300, 'for the ten minutes for which a list may be kept')
  })

  test('many visitors of one page are one question', async () => {
    let release
    world.daemon.on('/v1/related', () => new Promise(resolve => { release = () => resolve({ videos }) }))
    const all = Array.from({ length: 20 }, list)
    await until(() => release && clock.waiting === 2 * all.length + 2)
    release()
    for (const shownList of await Promise.all(all)) assert.deepEqual(shownList, mine())
    assert.equal(world.daemon.about('/v1/related').length, 1)
  })
})

test('a daemon that is not there: PeerTube\'s own list', async () => {
  const world = await fixture()
  try {
    const [current, other] = [await world.seed.video(world.creator.channel, { tags: ['sea'] }),
      await world.seed.video(world.creator.channel, { tags: ['sea'] })]
    await world.daemon.stop()
    for (let i = 0; i < 8; i++) {
      assert.deepEqual(await shown(world, current.uuid, { tags: ['sea'] }), [other.uuid, current.uuid])
    }
    assert.deepEqual(world.host.logs.splice(0).map(({ message }) => message),
      ['the daemon cannot be reached: PeerTube shows its own related lists until it answers'])
    await world.host.save({ ...world.host.saved, 'daemon-url': 'no address' })
    assert.deepEqual(await shown(world, current.uuid, { tags: ['sea'] }), [other.uuid, current.uuid])
  } finally {
    world.daemon.stop = () => {}
    await world.close()
  }
})

test('unregister lets go of everything: a waiting search, the daemon, a peer', async () => {
  const world = await fixture()
  try {
    const [current, other] = [await world.seed.video(world.creator.channel, { tags: ['sea'] }),
      await world.seed.video(world.creator.channel, { tags: ['sea'] })]
    const never = () => new Promise(() => {})
    world.daemon.on('/v1/related', never).on('/federation/v1/message', never).on('/v1/viewers/known', never)
    const [list, peer, known] = [
      shown(world, current.uuid, { tags: ['sea'] }),
      world.host.fetch(`${world.host.base}federation/v1/message`, {
        method: 'POST', body: 'x', headers: { 'content-type': 'application/octet-stream' }
      }).then(response => response.status, error => error),
      world.call('GET', 'viewer/v1/known', { user: world.creator })
    ]
    await until(() => world.daemon.asked.length === 3)
    await world.host.unload()
    assert.deepEqual(await list, [other.uuid, current.uuid])
    assert.equal((await known).status, 502)
    await peer
    await until(() => world.daemon.asked.every(({ left }) => left))
    assert.equal(process.getActiveResourcesInfo().filter(kind => kind === 'Timeout').length, 0)
  } finally {
    await world.close()
  }
})

test('unregister lets go of a search that waits for the database', async () => {
  const clock = new ManualClock()
  const world = await fixture({ parts: { clock } })
  try {
    const [current, other] = [await world.seed.video(world.creator.channel, { tags: ['sea'] }),
      await world.seed.video(world.creator.channel, { tags: ['sea'] })]
    world.host.queryDelay = () => new Promise(() => {})
    const list = shown(world, current.uuid, { tags: ['sea'] })
    await until(() => clock.waiting > 0)
    await world.host.unload()
    assert.deepEqual(await list, [other.uuid, current.uuid])
    assert.equal(clock.waiting, 0)
  } finally {
    await world.close()
  }
})

test('a process whose plugin was unregistered ends by itself', async () => {
  const { spawn } = await import('node:child_process')
  const child = spawn(process.execPath, [new URL('./lifecycle-process.js', import.meta.url).pathname], { stdio: 'pipe' })
  const timer = setTimeout(() => child.kill(), 30_000)
  const output = []
  child.stdout.on('data', data => output.push(data))
  child.stderr.on('data', data => output.push(data))
  const [code] = await once(child, 'exit')
  clearTimeout(timer)
  assert.equal(code, 0, Buffer.concat(output).toString())
})
