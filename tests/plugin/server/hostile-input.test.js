import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'

import { fixture } from './fixture.js'

const TEXTS = ['\0', 'a\0b', '\ud800', 'a\udfffb', '\u202e', '\uffff', 'x'.repeat(5000), '%00', '\'; DROP TABLE video; --', '\\u0000', '']
const NUMBERS = [0, -1, 0.5, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 53, 2 ** 63, 1e308, -1e308]
const ODD = [...TEXTS, ...NUMBERS, null, true, [], {}, ['\0'], { a: '\ud800' }, { '\0': 1 }, { __proto__: null, constructor: 1 }]

/** Arrays in arrays, as text: what parses is not always what can be written again. */
const deep = levels => '['.repeat(levels) + ']'.repeat(levels)

describe('odd bytes and numbers', () => {
  let world, admin
  before(async () => {
    world = await fixture()
    admin = await world.seed.user('admin', { role: 0 })
    await world.seed.video(world.creator.channel)
    for (const path of ['/v1/admin/peers', '/v1/admin/of-tomorrow']) world.daemon.on(path, () => ({}))
  })
  after(() => world.close())

  /** Never an error of the server, and never a word of the database. */
  const send = async (method, path, { headers, body, user = admin } = {}) => {
    const response = await world.host.fetch(world.host.base + path, { method, headers, body, user })
    const text = await response.text()
    const what = `${method} ${path} ${String(body).slice(0, 80)}: ${response.status} ${text.slice(0, 200)}`
    assert.ok(response.status < 500 || response.status === 502, what)
    assert.doesNotMatch(text, /syntax|encoding|out of range|relation|column/, what)
    return response.status
  }
  const json = { 'content-type': 'application/json' }

  test('in the body of any route that takes one are no error of the server', async () => {
    const routes = [['PUT', 'viewer/v1/choice', ['training', 'personal']], ['PUT', 'viewer/v1/discovery', ['discovery']],
      ['POST', 'viewer/v1/hidden', ['kind', 'id']], ['DELETE', 'viewer/v1/hidden', ['kind', 'id']],
      ['PUT', 'owner/v1/channels', ['x']], ['PUT', 'admin/v1/exclusions', ['channels', 'hosts', 'videos']],
      ['POST', 'admin/v1/erase', ['confirm']], ['POST', 'admin/v1/control/peers', ['host']]]
    for (const [method, path, names] of routes) {
      for (const odd of ODD) {
        await send(method, path, { headers: json, body: JSON.stringify(odd) })
        for (const name of names) {
          for (const value of [odd, [odd], ...typeof odd === 'string' ? [`https://a.example/${odd}`] : []]) {
            const body = { ...(name === 'id' ? { kind: 'video' } : {}), [name]: value }
            await send(method, path, { headers: json, body: JSON.stringify(body) })
          }
          if (typeof odd === 'string') await send(method, path, { headers: json, body: JSON.stringify({ [odd]: true }) })
        }
      }
      for (const levels of [30, 1000, 50_000]) {
        await send(method, path, { headers: json, body: `{"${names[0]}":${deep(levels)}}` })
        await send(method, path, { headers: json, body: deep(levels) })
      }
    }
  })

  test('in an address are refused', async () => {
    const routes = ['why/v1/reasons?video=', 'export/v1/videos?after=', 'export/v1/videos?limit=', 'export/v1/engagements?kind=',
      'export/v1/engagements?kind=rates&upto=1&after=', 'export/v1/engagements?kind=history&upto=',
      'export/v1/participants?rates=1&history=1&after=', 'export/v1/participants?history=1&rates=', 'admin/v1/page/',
      'admin/v1/control/', 'admin/v1/control/peers?host=', 'browser/v1/vectors?x=']
    const headers = { 'x-shoal-secret': world.host.secret }
    for (const route of routes) {
      for (const odd of [...NUMBERS, ...TEXTS.filter(text => text.isWellFormed()).map(encodeURIComponent), '%00', '%ff', '%ed%a0%80',
        '%', '9'.repeat(400), '2147483648', '281474976710656', '1e9', 'a[b]=1', `${'a'.repeat(3000)}`]) {
        await send('GET', route + odd, { headers })
      }
      await send('GET', `${route}1&${route.split(/[?&]/).at(-1)}2`, { headers })
    }
    // What lies beyond the largest id is the end.
    for (const path of ['videos?after=2147483648', 'engagements?kind=rates&upto=281474976710656&after=281474976710656']) {
      const { status, body } = await world.export(path)
      assert.deepEqual([status, body], [200, { items: [], next: null }], path)
    }
  })

  test('that a database cannot hold are named', async () => {
    for (const id of ['\0', '\ud800']) {
      const { status, body } = await world.call('POST', 'viewer/v1/hidden', { user: admin, json: { kind: 'video', id } })
      assert.equal(status, 400)
      assert.match(body.error, /without NUL and without halves of characters/)
    }
  })

  test('leave nothing in the log but fixed sentences', () => {
    const sentences = new Set(world.host.logs.map(({ message }) => message))
    for (const sentence of sentences) assert.match(sentence, /^[ -~]{1,200}$/)
    assert.ok(![...sentences].some(sentence => sentence.startsWith('a request failed')), [...sentences].join('\n'))
  })
})
