import assert from 'node:assert/strict'
import { constants, createHash, randomBytes, verify } from 'node:crypto'
import { request } from 'node:http'
import { after, before, beforeEach, describe, test } from 'node:test'

import { ManualClock } from '../host/clock.js'
import { fixture, until } from './fixture.js'

const KEY = `ed25519:${Buffer.alloc(32, 9).toString('base64')}`
const TYPE = 'application/vnd.shoal+cbor'

describe('messages of peers', () => {
  let world
  before(async () => { world = await fixture() })
  after(() => world.close())
  beforeEach(() => { world.daemon.asked.length = 0 })
  const post = (body, headers = {}) => world.host.fetch(`${world.host.base}federation/v1/message`, {
    method: 'POST', body, headers: { 'content-type': TYPE, ...headers }, duplex: 'half'
  })

  test('reach the daemon byte for byte, and so does its answer', async () => {
    const sent = randomBytes(100 * 1024)
    const answered = randomBytes(300_000)
    world.daemon.on('/federation/v1/message', (_request, response) => {
      response.writeHead(200, { 'content-type': TYPE, 'content-length': answered.length, 'x-inner': '1' }).end(answered)
    })
    const response = await post(sent)
    assert.equal(response.status, 200)
    assert.equal(response.headers.get('content-type'), TYPE)
    assert.equal(response.headers.get('x-inner'), null)
    assert.ok(Buffer.from(await response.arrayBuffer()).equals(answered))
    const [{ body, headers }] = world.daemon.asked
    assert.ok(body.equals(sent))
    assert.equal(headers['content-type'], TYPE)
    assert.equal(headers['x-shoal-secret'], undefined, 'peers do not speak with the plugin\'s authority')
  })

  test('keep the daemon\'s status', async () => {
    for (const status of [202, 400, 403, 429, 503]) {
      world.daemon.on('/federation/v1/message', (_request, response) => {
        response.writeHead(status, { 'retry-after': '7' }).end()
      })
      const response = await post('x')
      assert.deepEqual([response.status, response.headers.get('retry-after')], [status, '7'])
    }
  })

  test('over 100 kB, announced or not, and JSON never reach it', async () => {
    world.daemon.on('/federation/v1/message', () => ({}))
    assert.equal((await post(randomBytes(100 * 1024 + 1))).status, 413)
    const chunks = new ReadableStream({
      start (controller) {
        for (let i = 0; i < 20; i++) controller.enqueue(randomBytes(10_000))
        controller.close()
      }
    })
    assert.equal((await post(chunks)).status, 413)
    assert.equal((await post('{}', { 'content-type': 'application/json' })).status, 415)
    assert.equal(world.daemon.asked.length, 0)
  })

  test('get 20 MB back without gathering them here', async () => {
    const chunk = randomBytes(1e6)
    const hash = createHash('sha256')
    world.daemon.on('/federation/v1/message', async (_request, response) => {
      for (let i = 0; i < 20; i++) {
        hash.update(chunk)
        if (!response.write(chunk)) await new Promise(resolve => response.once('drain', resolve))
      }
      response.end()
    })
    const response = await post('x')
    const received = createHash('sha256')
    let size = 0
    for await (const part of response.body) {
      size += part.length
      received.update(part)
    }
    assert.equal(size, 20e6)
    assert.equal(received.digest('hex'), hash.digest('hex'))
  })

  test('a peer that leaves ends the daemon\'s work', async () => {
    world.daemon.on('/federation/v1/message', () => new Promise(() => {}))
    const { hostname, port } = new URL(world.host.url)
    const leaving = request({ hostname, port, method: 'POST', path: `${world.host.base}federation/v1/message`,
      headers: { 'content-type': TYPE } }).on('error', () => {})
    leaving.end('x')
    await until(() => world.daemon.asked.length === 1)
    leaving.destroy()
    await until(() => world.daemon.asked[0].left)
  })

  test('an answer that breaks off breaks off here too', async () => {
    world.daemon.on('/federation/v1/message', (_request, response) => {
      response.writeHead(200, { 'content-length': 1000 })
      response.write('half', () => response.destroy())
    })
    const response = await post('x')
    await assert.rejects(response.arrayBuffer())
  })

  test('more than 32 at once are asked to come back later', async () => {
    const release = []
    world.daemon.on('/federation/v1/message', () => new Promise(resolve => release.push(() => resolve({}))))
    const first = Array.from({ length: 32 }, () => post('x'))
    await until(() => release.length === 32)
    const late = await post('x')
    assert.deepEqual([late.status, late.headers.get('retry-after')], [503, '5'])
    for (const go of release) go()
    for (const response of await Promise.all(first)) assert.equal(response.status, 200)
  })

  test('a daemon that is away is a 502', async () => {
    await world.host.save({ ...world.host.saved, 'federation-url': 'http://127.0.0.1:1' })
    assert.equal((await post('x')).status, 502)
    await world.host.save({ ...world.host.saved, 'federation-url': 'nonsense' })
    assert.equal((await post('x')).status, 503)
    await world.host.save({ ...world.host.saved, 'federation-url': world.daemon.url })
  })
})

test('whoever sends slowly keeps nobody else out', async () => {
  const world = await fixture()
  const { port } = new URL(world.host.url)
  const slow = []
  const begin = () => {
    const opened = request({ host: '127.0.0.1', port, method: 'POST', path: `${world.host.base}federation/v1/message`,
      headers: { 'content-type': TYPE, 'content-length': 1000 } })
    slow.push(opened)
    const status = new Promise(resolve => opened.on('response', response => resolve(response.statusCode)).on('error', resolve))
    return new Promise(resolve => opened.write('x', () => resolve({ status })))
  }
  const send = () => world.host.fetch(`${world.host.base}federation/v1/message`, {
    method: 'POST', body: 'x', headers: { 'content-type': TYPE }
  })
  try {
    world.daemon.on('/federation/v1/message', () => ({}))
    const first = []
    for (let i = 0; i < 40; i++) first.push(await begin())
    for (let i = 0; i < 50; i++) assert.equal((await send()).status, 200)
    for (let i = 40; i < 300; i++) await begin()
    assert.equal((await send()).status, 200)
    assert.equal(await first[0].status, 408, 'of very many, the slowest goes')
    assert.equal(world.daemon.asked.length, 51, 'none of them is known to the daemon')
  } finally {
    for (const opened of slow) opened.destroy()
    await world.close()
  }
})

test('a peer that sends slowly is cut off after ten seconds', async () => {
  const clock = new ManualClock()
  const world = await fixture({ parts: { clock } })
  try {
    const { hostname, port } = new URL(world.host.url)
    const slow = request({ hostname, port, method: 'POST', path: `${world.host.base}federation/v1/message`,
      headers: { 'content-type': TYPE, 'content-length': 10 } })
    const status = new Promise((resolve, reject) => slow.on('response', ({ statusCode }) => resolve(statusCode)).on('error', reject))
    slow.write('x')
    await until(() => clock.waiting === 1)
    clock.advance(10_000)
    assert.equal(await status, 408)
    slow.destroy()
    await until(() => clock.waiting === 0)
  } finally {
    await world.close()
  }
})

describe('the instance\'s card', () => {
  let world
  const clock = new ManualClock()
  before(async () => { world = await fixture({ parts: { clock } }) })
  after(() => world.close())
  const says = card => world.daemon.on('/federation/v1/card', () => card)
  const host = () => new URL(world.host.url).host

  test('is signed by the actor over a fixed prefix, and verifies with the public key alone', async () => {
    says({ version: 2, host: host(), key: KEY })
    const { body, text } = await world.call('GET', 'federation/v1/card')
    const { actor, publicKey, privateKey } = { ...world.host.actor, actor: world.host.actor.url }
    assert.deepEqual({ ...body, signature: undefined }, {
      version: 2, host: host(), key: KEY, actor, statement: JSON.stringify({ actor, host: host(), key: KEY, date: '2026-01-31' }),
      signature: undefined
    })
    const options = { key: publicKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }
    const signature = Buffer.from(body.signature, 'base64')
    const check = signed => verify('sha256', Buffer.from(signed), options, signature)
    assert.ok(check(`shoal/2 instance card\0${body.statement}`))
    assert.ok(!check(body.statement))
    assert.ok(!check(`shoal/2 instance card\0${body.statement.replace('01-31', '02-01')}`))
    assert.ok(!text.includes(privateKey.slice(100, 160)))
    assert.deepEqual((await world.call('GET', 'federation/v1/card')).body, body, 'and is the same all day')
  })

  test('is not given for what the daemon should not say', async () => {
    for (const card of [{ version: 2, host: 'other.example', key: KEY }, { version: '2', host: host(), key: KEY },
      { version: 2, host: host(), key: 'text to be signed' }, { version: 2, host: host(), key: `${KEY}\n` }, {}, null]) {
      says(card)
      const { status, body } = await world.call('GET', 'federation/v1/card')
      assert.deepEqual([status, Object.keys(body)], [503, ['error']], JSON.stringify(card))
    }
    says({ version: 2, host: host(), key: KEY })
    const { privateKey } = world.host.actor
    world.host.actor.privateKey = null
    clock.today = () => '2026-02-01'
    assert.equal((await world.call('GET', 'federation/v1/card')).status, 503)
    world.host.actor.privateKey = privateKey
  })
})
