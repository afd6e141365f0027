/** Suggestions that the browser makes for people who are not logged in: what they show, and what they never send. */
import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'

import { CASES, madeVectors, patched } from '../host/vectors.js'
import { TOPICS, browserRoutes } from './answers.js'
import { DROPPED, answer, needsBrowser, openSite } from './browser.js'

const SETTINGS = 'api GET plugins/peertube-plugin-shoal/public-settings'
const VECTORS = 'GET browser/v1/vectors'
const SEARCH = 'api GET search/videos'
const HERE = 'abcdefab-1111-4111-8111-111111111111'
const HISTORY = 'peertube-videojs-video-watch-history'
const DAY = 24 * 3600 * 1000
const [tides, channel, knots, night, clouds, harbour, fugues, concert, piano] = TOPICS

describe('suggestions in the browser', needsBrowser, () => {
  /** @type {Awaited<ReturnType<typeof openSite>>} */
  let site
  /** @type {any} */
  let page
  before(async () => { site = await openSite() })
  after(() => site?.close())
  beforeEach(async () => {
    await page?.context().close()
    site.reset()
    browserRoutes(site)
    page = await site.page()
  })

  const watch = (options = {}) => page.evaluate(options => window.shell.watch(options), { uuid: HERE, name: 'Here', duration: 100, ...options })
  const played = (video, second, daysAgo = 0) => page.evaluate(
    ([uuid, second, date]) => window.shell.played(uuid, second, date),
    [video.uuid, second, new Date(Date.now() - daysAgo * DAY).toISOString()])
  const block = () => page.locator('.shoal-browser')
  const titles = () => page.locator('.shoal-browser li a').allTextContents()
  const reasons = () => page.locator('.shoal-browser li p:last-child').allTextContents()
  const rested = () => page.waitForTimeout(400)
  const stored = key => page.evaluate(key => localStorage.getItem(key), key)
  /** Watch a video as a viewer does: its page, then the player's note. */
  const seen = async (video, second = 60) => {
    await watch({ uuid: video.uuid, name: video.name })
    await page.waitForFunction(uuid => localStorage.getItem('shoal-browser-notes')?.includes(uuid), video.uuid)
    await played(video, second)
  }

  it('are those nearest to what was watched, with the reason, and nothing that was opened', async () => {
    await seen(channel)
    await seen(tides)
    await played(knots, 3)
    await watch({ uuid: night.uuid, name: night.name })
    await block().waitFor()
    assert.deepEqual(await titles(), [clouds.name, harbour.name, piano.name, concert.name, fugues.name])
    assert.equal((await reasons())[0], `Because you watched “\u2068${tides.name}\u2069”`)
    const link = page.locator('.shoal-browser li a').first()
    assert.equal(await link.getAttribute('href'), `/w/${clouds.uuid}`)
    assert.equal(await block().getAttribute('aria-labelledby'), await block().locator('h2').getAttribute('id'))
    assert.equal(await page.locator('my-recommended-videos > :last-child').getAttribute('class'), 'shoal-browser')
    assert.deepEqual(page.errors, [])
  })

  it('send nothing of the history', async () => {
    await seen(tides)
    await seen(channel)
    await played({ uuid: 'deadbeef-1111-4111-8111-111111111111' }, 500)
    page.sent.length = 0
    site.requests.length = 0
    await watch()
    await block().waitFor()
    await page.locator('.shoal-browser img').last().scrollIntoViewIfNeeded()
    await rested()

    const watched = [tides.uuid, channel.uuid, 'deadbeef', tides.name, channel.name]
    for (const { url, headers, body } of page.sent) {
      const told = decodeURIComponent([url, body, ...Object.values(headers)].join('\n'))
      for (const text of watched) assert.ok(!told.includes(text), `${text} is in ${told}`)
    }
    const kinds = page.sent.map(({ url }) => new URL(url).pathname.replace(/[0-9a-f-]{36}/, '*'))
    assert.deepEqual([...new Set(kinds)].filter(path => !path.startsWith('/plugins/shoal/')).sort(),
      ['/api/v1/search/videos', '/lazy-static/thumbnails/*.jpg'])

    // What is asked for is the file that everybody gets, and one list in no order of liking.
    assert.deepEqual(site.asked(VECTORS).map(({ path }) => path), ['browser/v1/vectors'])
    const [{ query }, ...more] = site.asked(SEARCH)
    assert.deepEqual(more, [])
    assert.deepEqual(query.uuids, [...query.uuids].sort())
    assert.deepEqual(Object.keys(query).sort(), ['count', 'nsfw', 'searchTarget', 'shoal', 'skipCount', 'uuids'])
  })

  it('ask for the vectors as everybody does', async () => {
    await played(tides, 60)
    await played(channel, 60)
    await watch()
    await block().waitFor()
    const [{ path, headers, ...rest }, ...more] = site.asked(VECTORS)
    assert.deepEqual([more, path, rest.body], [[], 'browser/v1/vectors', {}])
    for (const name of ['referer', 'cookie', 'authorization']) assert.equal(headers[name], undefined, name)
    await watch({ uuid: clouds.uuid })
    await block().waitFor()
    assert.equal(site.asked(VECTORS).length, 1, 'once for all pages')
  })

  it('are not there, and nothing is asked, where they are off or have nothing to go by', async () => {
    const nothing = async (why, options) => {
      await watch(options)
      await rested()
      assert.equal(await block().count(), 0, why)
      assert.deepEqual(site.requests.filter(({ key }) => key !== SETTINGS), [], why)
    }
    await nothing('no history')
    await played(tides, 60)
    await nothing('one video')
    await played(channel, 59)
    await nothing('less than a minute of a video whose length is not known')
    await played(channel, 60, 31)
    await nothing('more than 30 days ago')
    await played(channel, 60)
    await nothing('no list to stand below', { anchor: false })
    for (const settings of [{}, { 'browser-suggestions': false }, { 'browser-suggestions': null }]) {
      await page.reload()
      await page.waitForFunction(() => 'shell' in window)
      site.routes.set(SETTINGS, () => ({ publicSettings: settings }))
      await page.evaluate(() => localStorage.removeItem('shoal-browser-notes'))
      await nothing('switched off by the admin')
      assert.equal(await stored('shoal-browser-notes'), null, 'no notes either')
    }
    await page.reload()
    await page.waitForFunction(() => 'shell' in window)
    browserRoutes(site)
    await page.evaluate(() => window.shell.login({}))
    await nothing('logged in')
    assert.deepEqual(page.errors, [])
  })

  it('count a video as watched from its half on', async () => {
    await seen(tides, 50)
    await seen(channel, 49)
    await watch()
    await rested()
    assert.equal(await block().count(), 0)
    await played(channel, 50)
    await watch()
    await block().waitFor()
  })

  it('can be switched off and on by the viewer', async () => {
    await seen(tides, 70)
    await seen(channel, 70)
    await watch()
    await block().waitFor()
    const toggle = page.getByRole('switch', { name: 'Suggest from what I watched in this browser' })
    assert.equal(await toggle.isChecked(), true)
    await toggle.click()
    await page.waitForFunction(() => !document.querySelector('.shoal-browser li'))
    assert.equal(await stored('shoal-browser-notes'), null)
    assert.ok(await stored(HISTORY), 'PeerTube\'s own history is PeerTube\'s')

    site.requests.length = 0
    await page.reload()
    await page.waitForFunction(() => 'shell' in window)
    await watch({ uuid: clouds.uuid })
    await block().waitFor()
    assert.deepEqual(await titles(), [])
    assert.equal(await toggle.isChecked(), false)
    assert.deepEqual(site.requests.map(({ key }) => key), [SETTINGS])
    assert.equal(await stored('shoal-browser-notes'), null)

    await toggle.click()
    await page.locator('.shoal-browser li').first().waitFor()
    assert.equal(await toggle.evaluate(element => element === document.activeElement), true, 'the keyboard stays where it was')
    assert.equal((await reasons())[0], 'Fits what you watched in this browser', 'titles were forgotten')
    assert.equal(site.asked(VECTORS).length, 1)
  })

  it('leave the switch where it can be found again, also when the notes that are gone said what counts', async () => {
    await seen(tides, 59)
    await seen(channel, 59)
    await watch()
    await block().waitFor()
    const toggle = page.getByRole('switch', { name: 'Suggest from what I watched in this browser' })
    await toggle.click()
    await page.waitForFunction(() => !document.querySelector('.shoal-browser li'))
    await page.reload()
    await page.waitForFunction(() => 'shell' in window)
    await watch({ uuid: clouds.uuid })
    await toggle.click()
    await page.getByText('Nothing to suggest yet.').waitFor()
    assert.equal(await stored('shoal-browser-suggestions'), null)
  })

  it('do not repeat what stands above them', async () => {
    await seen(tides)
    await seen(channel)
    await watch()
    await block().waitFor()
    const [first, second, ...others] = await titles()
    /** @type {(value: unknown) => void} */
    let found = () => {}
    const search = site.routes.get(SEARCH)
    site.routes.set(SEARCH, asked => new Promise(resolve => { found = () => resolve(search(asked)) }))
    await watch()
    await page.evaluate(videos => window.shell.list(videos), TOPICS
      .filter(({ name }) => [first, second].includes(name)).map(({ uuid, name }) => ({ uuid, title: name })))
    await page.waitForTimeout(300)
    found()
    await block().waitFor()
    const shown = await titles()
    assert.deepEqual(shown.slice(0, 3), others)
    assert.ok(!shown.includes(first) && !shown.includes(second))
  })

  it('leave the columns of the page as they are', async () => {
    await seen({ ...tides, name: `${tides.name} and a title of many words that asks for a wide line`.repeat(2) })
    await seen(channel)
    const width = () => page.locator('my-recommended-videos').evaluate(element => element.getBoundingClientRect().width)
    for (const [size, column] of [[1400, 250], [800, 736]]) {
      await page.setViewportSize({ width: size, height: 900 })
      await watch()
      const before = await width()
      await block().waitFor()
      assert.equal(await width(), before)
      assert.ok(Math.abs(before - column) < 40, `${before}`)
      const box = await block().boundingBox()
      assert.ok(box && Math.abs(box.width - before) < 1)
      const picture = await page.locator('.shoal-browser img').first().boundingBox()
      const title = await page.locator('.shoal-browser li bdi').first().boundingBox()
      assert.ok(picture && title)
      assert.equal(title.y > picture.y + picture.height, size === 1400, 'the picture is above only in the narrow column')
    }
  })

  it('show only what PeerTube shows', async () => {
    await played(tides, 60)
    await played(channel, 60)
    site.routes.set(SEARCH, () => ({
      data: [{ uuid: night.uuid, name: night.name }, { uuid: 'ffffffff-1111-4111-8111-111111111111', name: 'Never asked for' }, { uuid: knots.uuid }, null, 7]
    }))
    await watch()
    await block().waitFor()
    assert.deepEqual(await titles(), [night.name])
    for (const nothing of [{ data: [] }, {}, null, [], answer(503), answer(200, '<html>')]) {
      site.routes.set(SEARCH, () => nothing)
      await watch()
      await rested()
      assert.equal(await block().count(), 0)
    }
    assert.deepEqual(page.errors, [])
  })

  it('are not there without whole vectors, and PeerTube\'s list stays', async () => {
    await played(tides, 60)
    await played(channel, 60)
    const good = madeVectors({ count: 30 })
    const broken = [
      answer(204), answer(404), answer(200, '<html>'), answer(200, Buffer.alloc(0)), answer(200, good.subarray(0, -1)),
      answer(200, patched(good, 4, [9])), answer(200, Buffer.concat([good, Buffer.alloc(500_000)])), answer(200, good),
      DROPPED
    ]
    for (const file of broken) {
      await page.reload()
      await page.waitForFunction(() => 'shell' in window)
      site.routes.set(VECTORS, () => file)
      await watch()
      await page.evaluate(videos => window.shell.list(videos), [{ uuid: knots.uuid, title: 'Stays' }])
      await rested()
      assert.equal(await block().count(), 0)
      assert.equal(await page.locator('my-video-miniature').count(), 1)
    }
    assert.equal(site.asked(SEARCH).length, 0)
    assert.deepEqual(page.errors, [])
  })

  it('bear a history and notes of any shape', async () => {
    const strange = [
      'no json', '7', 'null', '[]', '{"x":1}', '"text"', `{"${tides.uuid}":null}`,
      `{"${tides.uuid}":{"duration":"60","date":"2026"}}`, `{"${tides.uuid}":{"duration":1e400,"date":"never"}}`
    ]
    for (const text of strange) {
      await page.evaluate(([key, text]) => {
        localStorage.setItem(key, text)
        localStorage.setItem('shoal-browser-notes', text)
      }, [HISTORY, text])
      await watch()
      await page.waitForTimeout(50)
      assert.equal(await block().count(), 0, text)
    }
    assert.deepEqual(page.errors, [])
  })

  it('drop what comes for a page that was left', async () => {
    await played(tides, 60)
    await played(channel, 60)
    /** @type {(value: unknown) => void} */
    let late = () => {}
    site.routes.set(SEARCH, () => new Promise(resolve => { late = resolve }))
    await watch()
    await page.waitForTimeout(300)
    await page.evaluate(() => window.shell.leave())
    late({ data: [{ uuid: night.uuid, name: night.name }] })
    await rested()
    assert.equal(await block().count(), 0)
    browserRoutes(site)
    await watch()
    await watch({ uuid: clouds.uuid })
    await block().waitFor()
    await rested()
    assert.equal(await block().count(), 1)
    assert.deepEqual(page.errors, [])
  })

  it('show hostile names as text and follow no strange address', async () => {
    const attack = '<img src=x onerror="window.attacked = true">'
    site.routes.set(SEARCH, () => ({
      data: [{ uuid: night.uuid, name: attack, channel: { displayName: attack }, thumbnailPath: 'javascript:window.attacked=1', shortUUID: '"><b>' }]
    }))
    await seen({ ...tides, name: `${attack}\u202E` })
    await seen({ ...channel, name: attack })
    await watch()
    await block().waitFor()
    assert.deepEqual(await titles(), [attack])
    assert.equal(await page.locator('.shoal-browser :is(img, b)').count(), 0)
    assert.ok(!(await reasons())[0].includes('\u202E'))
    assert.equal(await page.evaluate(() => 'attacked' in window), false)
  })

  it('speak French', async () => {
    page = await site.page({ language: 'fr' })
    await seen(tides)
    await seen(channel)
    await watch()
    await block().waitFor()
    assert.equal((await reasons())[0], `Parce que vous avez regardé «\u00A0\u2068${tides.name}\u2069\u00A0»`)
  })

  it('are the daemon\'s top ten, in under 50 ms for 5,000 videos', async () => {
    site.routes.set('GET case', ({ query }) => answer(200, madeVectors(CASES[query.number])))
    for (const [number, { count, history, listed }] of CASES.entries()) {
      const { found, times } = await page.evaluate(async ({ base, number, history }) => {
        const { parseVectors, rank } = await import(`${base}client-scripts/client/watch/vectors.js`)
        const content = await (await fetch(`${base}router/case?number=${number}`)).arrayBuffer()
        const times = []
        let found
        for (let i = 0; i < 9; i++) {
          const begun = performance.now()
          found = rank(parseVectors(content), history, 10)
          times.push(performance.now() - begun)
        }
        return { found: found.map(({ row, score, via }) => [row, score, via]), times }
      }, { base: site.base, number, history })
      assert.deepEqual(found, listed)
      const median = times.sort((a, b) => a - b)[4]
      assert.ok(median < 50, `${median} ms for ${count} videos and a history of ${history.length}`)
    }
  })
})
