/** The invitation to take part, below the suggestions of the watch page. */
import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'

import { OPT_OUT, fixture } from '../server/fixture.js'
import { answer, needsBrowser, openSite } from './browser.js'

const SEED = '7b9fa1b2-4c1d-4e8f-9a10-0123456789ab'
const FIRST = '0b6d7d0e-2f5a-4d0f-8f6c-1d2e3f4a5b6c'
const REASONS = 'GET why/v1/reasons'
const ASKS = 'GET viewer/v1/invitation'
const QUESTION = 'These suggestions learn from viewers who agree. Take part?'

describe('invitation', needsBrowser, () => {
  let site, world, viewer, page
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
    viewer = await world.seed.user()
    site.routes.set(REASONS, () => ({ reasons: { [FIRST]: { kind: 'channel', text: '' } } }))
    site.fallback = ({ key, path, method, body }) => key.startsWith('api ')
      ? undefined
      : world.host.fetch(world.host.base + path, { method, user: viewer, json: method === 'GET' ? undefined : body })
    page = await site.page()
    await page.evaluate(() => window.shell.login({}))
  })

  const watch = async (uuid = SEED) => {
    await page.evaluate(uuid => window.shell.watch({ uuid }), uuid)
    await page.evaluate(uuid => window.shell.list([{ uuid, title: 'A video' }]), FIRST)
  }
  const box = () => page.locator('.shoal-invitation')
  const status = () => box().getByRole('status')
  const choice = async () => (await world.call('GET', 'viewer/v1/choice', { user: viewer })).body
  const notAsked = async () => {
    await page.locator('.shoal-why').waitFor()
    await page.waitForTimeout(300)
    assert.equal(await box().count(), 0)
    assert.deepEqual(page.errors, [])
  }

  it('leads by keyboard to a part in training, and says so', async () => {
    await watch()
    await status().filter({ hasText: QUESTION }).waitFor()
    const meaning = box().getByRole('link', { name: 'What this means' })
    assert.equal(await box().getByRole('link', { name: 'For you' }).count(), 0)
    assert.equal(await meaning.getAttribute('href'), '/my-account/p/shoal')
    assert.equal(await page.evaluate(() => document.activeElement === document.body), true, 'it takes nobody\'s place')
    await box().getByRole('button', { name: 'Take part' }).focus()
    await page.keyboard.press('Enter')
    await status().filter({ hasText: 'You take part.' }).waitFor()
    await page.waitForFunction(() => document.activeElement?.closest('.shoal-invitation') && !document.querySelector('.shoal-invitation button'))
    assert.equal(await page.evaluate(() => document.activeElement.getAttribute('href')), '/p/shoal/for-you')
    const { chosen, training } = await choice()
    assert.deepEqual([chosen, training], [true, true])

    await watch(FIRST)
    await notAsked()
    assert.equal(site.asked(ASKS).length, 1, 'nor is the server asked again')
    page = await site.page()
    await page.evaluate(() => window.shell.login({}))
    await watch()
    await notAsked()
  })

  it('is dismissed without a choice, and does not come again', async () => {
    await watch()
    await box().getByRole('button', { name: 'Not now' }).click()
    await status().filter({ hasText: 'You will not be asked again for a year.' }).waitFor()
    assert.equal((await choice()).chosen, false)
    page = await site.page()
    await page.evaluate(() => window.shell.login({}))
    await watch()
    await notAsked()
    assert.equal(site.asked(ASKS).length, 2)
  })

  it('was asked once it was in view, whatever the viewer did then', async () => {
    const again = async height => {
      page = await site.page({ height })
      await page.evaluate(() => window.shell.login({}))
      await watch()
    }
    for (let n = 0; n < 2; n++) {
      await again(200)
      await status().filter({ hasText: QUESTION }).waitFor()
      await page.waitForTimeout(200)
      assert.equal(site.asked('DELETE viewer/v1/invitation').length, 0, 'below what is in view')
    }
    const noted = page.waitForResponse(response => response.request().method() === 'DELETE')
    await box().scrollIntoViewIfNeeded()
    await noted
    await status().filter({ hasText: QUESTION }).waitFor()
    await again(900)
    await notAsked()
    assert.equal((await choice()).chosen, false)
  })

  it('stands below the list and moves nothing in it', async () => {
    /** @type {(value: unknown) => void} */
    let late = () => {}
    site.routes.set(ASKS, () => new Promise(resolve => { late = resolve }))
    await watch()
    await page.locator('.shoal-hide-toggle').waitFor()
    const places = () => page.locator('.other-videos, .other-videos *, .player').evaluateAll(found => found.map(element => {
      const { x, y, width, height } = element.getBoundingClientRect()
      return [x, y, width, height].map(Math.round).join(' ')
    }))
    const before = await places()
    late({ asks: true })
    await status().filter({ hasText: QUESTION }).waitFor()
    assert.deepEqual(await places(), before)
    const list = await page.locator('.other-videos').boundingBox()
    assert.ok((await box().boundingBox()).y >= list.y + list.height)
  })

  it('is only for logged-in viewers who have not chosen, where the admin wants it', async () => {
    await page.evaluate(() => window.shell.logout())
    await watch()
    await notAsked()
    assert.equal(site.asked(ASKS).length, 0)

    for (const saved of [{ invitation: false }, OPT_OUT]) {
      const before = world.host.saved
      await world.host.save({ ...before, ...saved })
      page = await site.page()
      await page.evaluate(() => window.shell.login({}))
      await watch()
      await notAsked()
      await world.host.save(before)
    }

    await world.call('PUT', 'viewer/v1/choice', { user: viewer, json: { training: false } })
    page = await site.page()
    await page.evaluate(() => window.shell.login({}))
    await watch()
    await notAsked()
  })

  it('needs suggestions with reasons', async () => {
    site.routes.set(REASONS, () => ({ reasons: {} }))
    await watch()
    await page.waitForTimeout(1200)
    assert.equal(site.asked(ASKS).length, 0)
    assert.equal(await box().count(), 0)
  })

  it('stays with what to do when a choice could not be saved, and is silent when nobody can tell', async () => {
    site.routes.set('PUT viewer/v1/choice', () => answer(503))
    await watch()
    await box().getByRole('button', { name: 'Take part' }).click()
    await box().getByRole('alert').filter({ hasText: 'Try again later' }).waitFor()
    assert.equal(await box().getByRole('button').count(), 2)
    assert.equal((await choice()).chosen, false)

    site.routes.set(ASKS, () => answer(503))
    await watch()
    await notAsked()
  })

  it('goes with the video that it stood beside', async () => {
    await watch()
    await box().waitFor()
    await page.evaluate(() => window.shell.leave())
    assert.equal(await box().count(), 0)
    /** @type {(value: unknown) => void} */
    let late = () => {}
    site.routes.set(ASKS, () => new Promise(resolve => { late = resolve }))
    await watch()
    await page.locator('.shoal-hide-toggle').waitFor()
    // PeerTube uses its list again for the next video.
    await page.evaluate(() => {
      window.list_ = document.querySelector('my-recommended-videos')
      return window.shell.leave()
    })
    late({ asks: true })
    await page.waitForTimeout(200)
    assert.equal(await page.evaluate(() => window.list_.querySelectorAll('.shoal-invitation').length), 0)
    assert.deepEqual(page.errors, [])
  })
})
