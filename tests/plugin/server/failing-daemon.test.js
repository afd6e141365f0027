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
    clock.advance(60_000)
    world.daemon.asked.length = 0
    world.daemon.answers.clear()
    await world.host.save(world.host.saved)
  })
  const list = () => shown(world, current.uuid, { tags: ['sea'] })
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
      assert.equal(clock.waiting, 0, 'no timer is left')
    })
  }

  test('hanging: PeerTube\'s own list after exactly 100 ms', async () => {
    let release
    world.daemon.on('/v1/related', () => new Promise(resolve => { release = resolve }))
    let done = false
    const answer = list().finally(() => { done = true })
    await until(() => world.daemon.asked.length === 1)
    clock.advance(99)
    await new Promise(resolve => setTimeout(resolve, 30))
    assert.equal(done, false)
    clock.advance(1)
    assert.deepEqual(await answer, stock())
    clock.advance(1900)
    await until(() => world.daemon.asked[0].left)
    release()
    assert.equal(clock.waiting, 0)
  })

  test('a database that hangs does not hold up the list either', async () => {
    world.daemon.suggests(videos)
    let release
    world.host.queryDelay = () => new Promise(resolve => { release = resolve })
    const answer = list()
    await until(() => release !== undefined && clock.waiting > 0)
    clock.advance(100)
    assert.deepEqual(await answer, stock())
    world.host.queryDelay = undefined
    release()
  })

  test('too slow once: the answer is kept for the next visitor', async () => {
    let release
    world.daemon.on('/v1/related', () => new Promise(resolve => { release = () => resolve({ videos }) }))
    const answer = list()
    await until(() => world.daemon.asked.length === 1)
    clock.advance(150)
    assert.deepEqual(await answer, stock())
    release()
    await until(() => clock.waiting === 0)
    assert.deepEqual(await list(), mine())
    assert.equal(world.daemon.about('/v1/related').length, 1)
  })

  test('after five failures nobody waits for it, until it is well again', async () => {
    let well = false
    world.daemon.on('/v1/related', (_request, response) => {
      if (well) return { videos }
      response.destroy()
    })
    for (let i = 0; i < 9; i++) assert.deepEqual(await list(), stock())
    assert.equal(world.daemon.asked.length, 5)
    const [line] = world.host.logs.splice(0)
    assert.match(line.message, /^the daemon fails to answer in time.*\(TypeError/)
    well = true
    assert.deepEqual(await list(), stock(), 'it is left alone for five seconds')
    assert.equal(world.daemon.asked.length, 5)
    clock.advance(5000)
    assert.deepEqual(await list(), stock(), 'it is asked without anybody waiting')
    await until(() => clock.waiting === 0)
    assert.deepEqual(await list(), mine())
    assert.equal(world.daemon.about('/v1/related').length, 6)
  })

  test('an ageing list is shown while a new one is fetched; one too old is not', async () => {
    world.daemon.suggests(videos)
    assert.deepEqual(await list(), mine())
    world.daemon.suggests([videos[1], videos[0]])
    clock.advance(61_000)
    assert.deepEqual(await list(), mine())
    await until(() => clock.waiting === 0)
    assert.deepEqual(await list(), [videos[1].uuid, videos[0].uuid])
    world.daemon.on('/v1/related', answers['an error'])
    clock.advance(601_000)
    assert.deepEqual(await list(), stock())
  })

  test('a list of a model that was taken out is not shown any more', async () => {
    let model = 'with-the-peer'
    world.daemon.on('/health/ready', (_request, response) => {
      if (model) return { ready: true, model }
      response.writeHead(503).end('{}')
    })
    world.daemon.suggests(videos)
    assert.deepEqual(await list(), mine())
    assert.deepEqual(await list(), mine())
    clock.advance(2100)
    assert.deepEqual(await list(), mine(), 'nothing changed')
    const asked = world.daemon.about('/v1/related').length
    model = 'without-it'
    world.daemon.suggests([videos[1], videos[0]])
    assert.deepEqual(await list(), mine(), 'for two seconds at most')
    clock.advance(2000)
    assert.deepEqual(await list(), [videos[1].uuid, videos[0].uuid], 'at the first visit after that')
    assert.equal(world.daemon.about('/v1/related').length, asked + 1)
    model = ''
    world.daemon.on('/v1/related', (_request, response) => { response.writeHead(503).end('{}') })
    clock.advance(2000)
    assert.deepEqual(await list(), stock(), 'no model may serve')
  })

  test('a daemon that does not say which model serves holds nobody up', async () => {
    world.daemon.suggests(videos)
    assert.deepEqual(await list(), mine())
    clock.advance(2100)
    world.daemon.on('/health/ready', () => new Promise(() => {}))
    const answer = list()
    await until(() => world.daemon.about('/health/ready').length > 0)
    clock.advance(25)
    assert.deepEqual(await answer, mine())
    clock.advance(1000)
    await until(() => clock.waiting === 0)
  })

  test('many visitors of one page are one question', async () => {
    let release
    world.daemon.on('/v1/related', () => new Promise(resolve => { release = () => resolve({ videos }) }))
    const all = Array.from({ length: 20 }, list)
    await until(() => release && clock.waiting === all.length + 1)
    release()
    for (const shownList of await Promise.all(all)) assert.deepEqual(shownList, mine())
    // Who comes after the answer asks which model it is of, which is another question.
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
