import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'

const require = createRequire(import.meta.url)
const { toUuid, videoOfPage } = require('../../../peertube-plugin/server/uuid.js')
const { Pseudonyms } = require('../../../peertube-plugin/server/pseudonym.js')
const { Lru } = require('../../../peertube-plugin/server/lru.js')
const { createLog } = require('../../../peertube-plugin/server/log.js')
const { parseRelatedSearch } = require('../../../peertube-plugin/server/related-search.js')

const UUID = '8413d78f-8873-4c3d-a511-42bb60f20c05'
const SHORT = 'hiX8WSveHsY3kV3uDpnrcK'
const HOME = 'https://tube.example'

test('a short id is the uuid in base 58', () => {
  assert.equal(toUuid(SHORT), UUID)
  assert.equal(toUuid(UUID.toUpperCase()), UUID)
  assert.equal(toUuid('1'.repeat(22)), '00000000-0000-0000-0000-000000000000')
  for (const wrong of ['', 'abc', SHORT + 'K', 'Z'.repeat(22), SHORT.replace('h', '0'), SHORT.replace('h', 'l'), UUID + '0']) {
    assert.equal(toUuid(wrong), undefined, wrong)
  }
})

test('the current video comes from the page\'s own address only', () => {
  const pages = [`/w/${SHORT}`, `/w/${UUID}`, `/w/${SHORT}?start=1m`, `/w/${SHORT};threadId=7`, `/videos/watch/${UUID}`,
    `/w/${SHORT}/`]
  for (const page of pages) assert.equal(videoOfPage(HOME + page, HOME), UUID, page)
  const others = [`${HOME}/w/p/${SHORT}?playlistPosition=2`, `${HOME}/`, `${HOME}/w/`, `https://evil.example/w/${SHORT}`,
    `http://tube.example/w/${SHORT}`, `${HOME}/videos/embed/${UUID}`, 'nonsense', undefined, ['a'], `${HOME}/w/${'a'.repeat(5000)}`]
  for (const page of others) assert.equal(videoOfPage(page, HOME), undefined, String(page))
})

test('pseudonyms are HMAC-SHA256 of the id under the key', () => {
  const names = new Pseudonyms(Buffer.alloc(32, 7))
  // printf 'viewer:42' | openssl dgst -sha256 -mac HMAC -macopt hexkey:0707…07, first 32 digits
  assert.equal(names.of(42), 'd19fc7c0c8022ad521c0c9cede963b46')
  assert.notEqual(names.of(42), new Pseudonyms(Buffer.alloc(32, 8)).of(42))
})

test('page cursors come back, name nobody and collide with none', () => {
  const names = new Pseudonyms(Buffer.alloc(32, 7))
  const seen = new Set()
  for (const id of [1, 2, 3, 1000, 16777215, 16777216, 2147483647]) {
    const cursor = names.seal(id)
    assert.equal(names.open(cursor), id)
    assert.ok(Number.isSafeInteger(cursor) && cursor >= 0 && cursor !== id)
    seen.add(cursor)
  }
  assert.equal(seen.size, 7)
})

test('the least recently used entry goes first', () => {
  const lru = new Lru(2)
  lru.set('a', 1)
  lru.set('b', 2)
  lru.get('a')
  lru.set('c', 3)
  assert.deepEqual([lru.get('a'), lru.get('b'), lru.get('c')], [1, undefined, 3])
})

test('a log line holds a sentence and the kind of error, never its message', () => {
  const lines = []
  const add = line => lines.push(line)
  const log = createLog({ info: add, warn: add, error: add })
  const error = Object.assign(new Error('SELECT 192.0.2.7 secret'), { cause: { code: 'ECONNREFUSED' } })
  log.warn('it failed', error)
  log.error('it failed', Object.assign(new Error('x'), { name: 'a b\n', code: 'no code: 10.0.0.1' }))
  assert.deepEqual(lines, ['it failed (Error, ECONNREFUSED)', 'it failed (Error)'])
})

test('only the watch page\'s search is taken for it', () => {
  const query = { start: '0', count: '7', skipCount: 'true', sort: '-publishedAt', searchTarget: 'local' }
  const params = { start: 0, count: 7, tagsOneOf: ['a'] }
  const call = (q = {}, p = {}) => parseRelatedSearch({ ...params, ...p },
    { query: { ...query, ...q }, headers: { referer: `${HOME}/w/${SHORT}`, 'accept-language': 'pt-BR,en;q=0.5' } }, HOME)
  assert.deepEqual(call(), { count: 7, video: UUID, language: 'pt' })
  // After PeerTube's validators the same values may be numbers and booleans.
  assert.deepEqual(call({ start: 0, skipCount: true }), call())
  for (const other of [{ skipCount: undefined }, { sort: '-views' }, { searchTarget: 'search-index' }, { start: '7' }]) {
    assert.equal(call(other), undefined, JSON.stringify(other))
  }
  for (const other of [{ search: 'x' }, { count: 5 }, { count: 31 }, { count: NaN }, { uuids: [UUID] }, { host: 'a' },
    { categoryOneOf: [1] }, { languageOneOf: ['fr'] }, { isLive: false }, { tagsAllOf: ['a'] }]) {
    assert.equal(call({}, other), undefined, JSON.stringify(other))
  }
  assert.equal(parseRelatedSearch(params, undefined, HOME), undefined)
})
