/** Why lines under the suggestions of the watch page. */
import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'

import { needsBrowser, answer, openSite } from './browser.js'

const SEED = '7b9fa1b2-4c1d-4e8f-9a10-0123456789ab'
const FIRST = '0b6d7d0e-2f5a-4d0f-8f6c-1d2e3f4a5b6c'
const SECOND = '11111111-2222-4333-8444-555555555555'
const THIRD = '99999999-aaaa-4bbb-8ccc-dddddddddddd'
const REASONS = 'GET why/v1/reasons'
const SETTINGS = 'api GET plugins/peertube-plugin-shoal/public-settings'
const VIDEOS = [{ uuid: FIRST, title: 'First' }, { uuid: SECOND, title: 'Second' }, { uuid: THIRD, title: 'Third' }]

const together = { kind: 'co-engagement', text: 'About 20 or more viewers liked or watched both', users: 20, tags: [] }
const tagged = { kind: 'tags', text: 'Shares the tags sea and fish', users: null, tags: ['sea', 'fish'] }

describe('why lines', needsBrowser, () => {
  /** @type {Awaited<ReturnType<typeof openSite>>} */
  let site
  /** @type {any} */
  let page
  before(async () => { site = await openSite() })
  after(() => site?.close())
  beforeEach(async () => {
    await page?.context().close()
    site.reset()
    page = await site.page()
  })

  const watch = (options = {}) => page.evaluate(options => window.shell.watch(options), { uuid: SEED, ...options })
  const list = videos => page.evaluate(videos => window.shell.list(videos), videos)
  const lines = () => page.locator('.shoal-why-text').evaluateAll(found => found.map(line => line.textContent))
  const settled = count => page.waitForFunction(count => document.querySelectorAll('.shoal-why').length === count, count)

  it('says why under each suggestion that has a reason', async () => {
    site.routes.set(REASONS, () => ({ reasons: { [FIRST]: together, [SECOND]: tagged } }))
    await watch()
    await list(VIDEOS)
    await settled(2)
    assert.deepEqual(await lines(), [
      'Why this video: About 20 or more viewers liked or watched both',
      'Why this video: Shares the tags \u2068sea\u2069 and \u2068fish\u2069'
    ])
    assert.equal(site.asked(REASONS)[0].query.video, SEED)
    assert.equal(await page.locator('button').count(), 0, 'nothing to press for who is not logged in')
    assert.deepEqual(page.errors, [])
  })

  it('understands the short form of ids in links', async () => {
    site.routes.set(REASONS, () => ({ reasons: { [FIRST]: together } }))
    await watch()
    await list([{ href: `/w/${shortId(FIRST)}?start=3s`, title: 'First' }])
    await settled(1)
  })

  it('asks nothing before there is a list, and asks again for reasons that come late', async () => {
    let calls = 0
    site.routes.set(REASONS, () => ({ reasons: ++calls < 3 ? {} : { [FIRST]: together } }))
    await watch()
    assert.equal(calls, 0)
    await list([VIDEOS[0]])
    await settled(1)
    assert.equal(calls, 3)
  })

  it('asks for no reasons where the related list is switched off', async () => {
    site.routes.set(SETTINGS, () => ({ publicSettings: { 'related-list': false } }))
    await watch()
    await list(VIDEOS)
    await page.waitForTimeout(1000)
    assert.deepEqual(site.requests.map(({ key }) => key), [SETTINGS])
  })

  it('stops asking when no reason comes, and writes nothing', async () => {
    site.routes.set(REASONS, () => answer(503))
    await watch()
    await list(VIDEOS)
    // A busy machine takes longer; what comes after the third would come within two seconds.
    for (let wait = 0; wait < 60 && site.asked(REASONS).length < 3; wait += 1) await page.waitForTimeout(500)
    await page.waitForTimeout(3000)
    assert.equal(site.asked(REASONS).length, 3)
    assert.equal(await page.locator('.shoal-why').count(), 0)
    assert.deepEqual(page.errors, [])
  })

  it('survives that the list is drawn again and that a suggestion is used for another video', async () => {
    site.routes.set(REASONS, () => ({ reasons: { [FIRST]: together, [SECOND]: tagged } }))
    await watch()
    await list(VIDEOS.slice(0, 2))
    await settled(2)
    await list([VIDEOS[1]])
    await settled(1)
    assert.match((await lines())[0], /tags/)
    await page.evaluate(uuid => window.shell.relink(0, `/w/${uuid}`), FIRST)
    await page.waitForFunction(() => document.querySelector('.shoal-why-text')?.textContent?.includes('20'))
  })

  it('comes to rest: it does not answer its own changes', async () => {
    site.routes.set(REASONS, () => ({ reasons: { [FIRST]: together, [SECOND]: tagged, [THIRD]: tagged } }))
    await page.evaluate(() => {
      window.frames_ = 0
      const original = window.requestAnimationFrame
      window.requestAnimationFrame = callback => {
        window.frames_ += 1
        return original.call(window, callback)
      }
    })
    await watch()
    await list(VIDEOS)
    await settled(3)
    await page.waitForTimeout(300)
    const before = await page.evaluate(() => window.frames_)
    await page.waitForTimeout(1000)
    assert.equal(await page.evaluate(() => window.frames_), before)
    assert.ok(before <= 6, `${before} frames for one list`)
  })

  it('drops an answer for the video that was left', async () => {
    /** @type {(value: unknown) => void} */
    let late = () => {}
    site.routes.set(REASONS, ({ query }) => query.video === SEED
      ? new Promise(resolve => { late = resolve })
      : { reasons: { [FIRST]: tagged } })
    await watch()
    await list([VIDEOS[0]])
    await page.waitForTimeout(200)
    await watch({ uuid: SECOND })
    await list([VIDEOS[0]])
    await settled(1)
    late({ reasons: { [FIRST]: together } })
    await page.waitForTimeout(200)
    assert.match((await lines())[0], /tags/)
  })

  it('does nothing without its anchor, and comes back with it', async () => {
    site.routes.set(REASONS, () => ({ reasons: { [FIRST]: together } }))
    await watch({ anchor: false })
    await page.waitForTimeout(200)
    assert.equal(site.requests.length, 0)
    await page.evaluate(() => window.shell.leave())
    await watch()
    await list([VIDEOS[0]])
    await settled(1)
    assert.deepEqual(page.errors, [])
  })

  it('shows hostile titles, tags and sentences as text', async () => {
    const attack = '<img src=x onerror="window.attacked = true">'
    site.routes.set(REASONS, () => ({
      reasons: {
        [FIRST]: { kind: 'tags', text: attack, users: null, tags: [attack, '\u202Eesrever'] },
        [SECOND]: { kind: 'of tomorrow', text: attack, users: null, tags: [] }
      }
    }))
    await page.evaluate(() => window.shell.login({}))
    await watch()
    await list([{ uuid: FIRST, title: attack }, { uuid: SECOND, title: attack }])
    await settled(2)
    const shown = await lines()
    assert.ok(shown[0].includes(attack) && shown[1].includes(attack))
    assert.ok(!shown[0].includes('\u202E'), 'a tag cannot turn the direction of the line')
    assert.ok((await page.locator('.shoal-hide-toggle').first().getAttribute('aria-label')).includes(attack))
    await page.waitForTimeout(100)
    assert.equal(await page.evaluate(() => 'attacked' in window), false)
    assert.equal(await page.locator('.shoal-why img').count(), 0)
  })

  it('bears nonsense', async () => {
    for (const nonsense of ['"text"', '[]', 'null', '{"reasons": null}', '{"reasons": {"x": 5, "y": null}}', '<html>']) {
      site.routes.set(REASONS, () => answer(200, nonsense))
      await watch()
      await list(VIDEOS)
      await page.waitForTimeout(100)
      assert.equal(await page.locator('.shoal-why').count(), 0, nonsense)
    }
    for (const reason of [5, null, {}, { kind: 7 }, { kind: 'tags', tags: 'sea' }, { kind: 'tags', tags: [null, ''] }]) {
      site.routes.set(REASONS, () => ({ reasons: { [FIRST]: reason } }))
      await watch()
      await list(VIDEOS)
      await page.waitForTimeout(50)
    }
    assert.deepEqual(page.errors, [])
  })

  it('speaks French', async () => {
    page = await site.page({ language: 'fr' })
    site.routes.set(REASONS, () => ({ reasons: { [FIRST]: { ...together, users: 12345 } } }))
    await watch()
    await list([VIDEOS[0]])
    await settled(1)
    assert.deepEqual(await lines(), ['Pourquoi cette vidéo\u00A0: Au moins 12\u202F345 personnes environ ont aimé ou regardé les deux'])
  })
})

/** PeerTube's short form of a uuid, by its definition. */
function shortId (uuid) {
  const alphabet = '123456789abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ'
  let value = BigInt(`0x${uuid.replaceAll('-', '')}`)
  let text = ''
  for (; value > 0n; value /= 58n) text = alphabet[Number(value % 58n)] + text
  return text.padStart(22, alphabet[0])
}
