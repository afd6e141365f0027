/** What the watch page says of what suggestions achieve. */
import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'

import { fixture } from '../server/fixture.js'
import { needsBrowser, openSite } from './browser.js'

const SEED = '7b9fa1b2-4c1d-4e8f-9a10-0123456789ab'
const FIRST = '0b6d7d0e-2f5a-4d0f-8f6c-1d2e3f4a5b6c'
const SECOND = '11111111-2222-4333-8444-555555555555'
const COUNT = 'POST effects/v1/count'
const SETTLED_MS = 4000

describe('counting what suggestions achieve', needsBrowser, () => {
  let site, world, page
  before(async () => {
    site = await openSite()
    world = await fixture()
  })
  after(async () => {
    await site?.close()
    await world?.close()
  })
  beforeEach(async () => {
    await page?.context().close()
    site.reset()
    await world.export('effects')
    await world.database.rows('DELETE FROM plugin_shoal_effect')
    site.fallback = ({ key, path, method, body }) => key === COUNT
      ? world.host.fetch(world.host.base + path, { method, json: body })
      : undefined
    reasons({})
    page = await site.page()
    // Following a link would leave the page of the tests, where PeerTube's router stays on its own.
    await page.evaluate(() => addEventListener('click', event => event.preventDefault()))
  })

  const reasons = found => site.routes.set('GET why/v1/reasons', () => ({ reasons: found }))
  const explained = () => reasons({ [FIRST]: { kind: 'channel', text: '' } })
  const watch = async (uuid = SEED) => {
    await page.evaluate(uuid => window.shell.watch({ uuid }), uuid)
    await page.evaluate(videos => window.shell.list(videos), [{ uuid: FIRST, title: 'First' }, { uuid: SECOND, title: 'Second' }])
  }
  const events = () => site.asked(COUNT).map(({ body }) => body.event)
  const until = async count => {
    for (let i = 0; i < 300 && events().length < count; i++) await page.waitForTimeout(50)
    return events()
  }
  const link = name => page.getByRole('link', { name, exact: true }).last()
  const stored = async () => {
    const [{ day: _day, ...totals } = {}] = (await world.export('effects')).body.days
    return Object.fromEntries(Object.entries(totals).filter(([, total]) => total))
  }

  it('counts a visit once, after some seconds in sight, and says nothing else', async () => {
    await page.evaluate(() => window.shell.login({}))
    const start = Date.now()
    await watch()
    assert.deepEqual(await until(1), ['page'])
    assert.ok(Date.now() - start >= SETTLED_MS)
    const [{ body, headers, query }] = site.asked(COUNT)
    assert.deepEqual([body, query], [{ event: 'page' }, {}])
    for (const name of ['authorization', 'cookie', 'referer']) assert.equal(headers[name], undefined, name)

    // PeerTube may load the video of a page again.
    await page.evaluate(uuid => window.shell.watch({ uuid }), SEED)
    await page.waitForTimeout(SETTLED_MS + 500)
    assert.deepEqual(events(), ['page'])
    assert.deepEqual(await stored(), { pages: 1 })
    assert.deepEqual(await page.evaluate(() => [localStorage.length, sessionStorage.length, document.cookie]), [0, 0, ''])
    assert.deepEqual(page.errors, [])
  })

  it('counts one click on a list of ours, also one before the seconds are over', async () => {
    explained()
    await watch()
    await page.locator('.shoal-why').waitFor()
    await page.locator('.owner-label a').first().click()
    await link('Second').click()
    await link('First').click()
    assert.deepEqual(await until(2), ['explained-page', 'click'], 'a channel is no suggestion')
    await watch(FIRST)
    await page.locator('.shoal-why').waitFor()
    await link('Second').click({ button: 'middle' })
    assert.deepEqual((await until(4)).slice(2), ['explained-page', 'click'])
    await page.waitForTimeout(SETTLED_MS + 500)
    assert.equal(events().length, 4)
    assert.deepEqual(await stored(), { pages: 2, explained: 2, clicked: 2 })
  })

  it('tells a click in PeerTube\'s own order from one in ours, also where both have a video', async () => {
    explained()
    await watch()
    const more = [SECOND, SEED].map((uuid, place) => ({ uuid, title: `More ${place}` }))
    await page.evaluate(videos => window.shell.list(videos), [{ uuid: FIRST, title: 'First' }, ...more])
    await page.locator('.shoal-why').waitFor()
    await until(1)
    await link('First').press('Enter')
    assert.deepEqual(await until(2), ['page', 'stock-click'])
    assert.deepEqual(await stored(), { pages: 1, stockClicked: 1 })
  })

  it('counts what is hidden, not what is brought back', async () => {
    explained()
    for (const method of ['POST', 'DELETE']) site.routes.set(`${method} viewer/v1/hidden`, () => ({}))
    await page.evaluate(() => window.shell.login({}))
    await watch()
    await page.locator('.shoal-hide-toggle').first().click()
    await page.getByRole('button', { name: 'Hide this video' }).first().click()
    await page.getByRole('button', { name: 'Undo' }).click()
    await page.locator('.shoal-hide-toggle').first().waitFor()
    assert.deepEqual(await until(1), ['hide'])
    assert.deepEqual(await stored(), { hidden: 1 })
  })

  it('leaves out who was gone at once, and pages without a list are pages', async () => {
    await watch()
    await page.waitForTimeout(1000)
    await page.evaluate(() => window.shell.leave())
    await page.waitForTimeout(SETTLED_MS)
    assert.deepEqual(events(), [])
    await page.evaluate(uuid => window.shell.watch({ uuid, anchor: false }), SEED)
    assert.deepEqual(await until(1), ['page'])
  })

  it('sends nothing where the browser asks not to be tracked', async () => {
    explained()
    for (const [name, value] of [['globalPrivacyControl', true], ['doNotTrack', '1']]) {
      page = await site.page()
      await page.evaluate(([name, value]) => {
        Object.defineProperty(navigator, name, { value })
        addEventListener('click', event => event.preventDefault())
      }, [name, value])
      await watch()
      await page.locator('.shoal-why').waitFor()
      await link('First').click()
    }
    await page.waitForTimeout(SETTLED_MS + 500)
    assert.deepEqual(events(), [])
    assert.deepEqual(page.errors, [])
  })
})
