/** "Hide" under the suggestions of the watch page. */
import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'

import { DROPPED, answer, needsBrowser, openSite } from './browser.js'

const SEED = '7b9fa1b2-4c1d-4e8f-9a10-0123456789ab'
const FIRST = '0b6d7d0e-2f5a-4d0f-8f6c-1d2e3f4a5b6c'
const SECOND = '11111111-2222-4333-8444-555555555555'
const CHANNEL = 'https://far.example/video-channels/news'
const HIDE = 'POST viewer/v1/hidden'
const SHOW = 'DELETE viewer/v1/hidden'
const reason = { kind: 'channel', text: 'From the same channel', users: null, tags: [] }

describe('hiding suggestions', needsBrowser, () => {
  /** @type {Awaited<ReturnType<typeof openSite>>} */
  let site
  /** @type {any} */
  let page
  before(async () => { site = await openSite() })
  after(() => site?.close())
  beforeEach(async () => {
    await page?.context().close()
    site.reset()
    site.routes.set('GET why/v1/reasons', () => ({ reasons: { [FIRST]: reason, [SECOND]: reason } }))
    site.routes.set(HIDE, () => answer(204, ''))
    site.routes.set(SHOW, () => answer(204, ''))
    site.routes.set(`api GET videos/${FIRST}`, () => ({ uuid: FIRST, channel: { url: CHANNEL, displayName: 'News' } }))
    page = await site.page()
    await page.evaluate(() => window.shell.login({}))
    await page.evaluate(uuid => window.shell.watch({ uuid }), SEED)
    await page.evaluate(videos => window.shell.list(videos), [{ uuid: FIRST, title: 'First' }, { uuid: SECOND, title: 'Second' }])
    await page.waitForSelector('.shoal-hide-toggle')
  })

  const toggle = () => page.getByRole('button', { name: /^Hide .*First/ })
  const focused = () => page.evaluate(() => document.activeElement?.textContent)

  it('hides a video with the keyboard alone, and brings it back', async () => {
    await toggle().focus()
    assert.equal(await toggle().getAttribute('aria-expanded'), 'false')
    await page.keyboard.press('Enter')
    assert.equal(await toggle().getAttribute('aria-expanded'), 'true')
    await page.keyboard.press('Tab')
    assert.equal(await focused(), 'Hide this video')
    await page.keyboard.press('Enter')

    const undo = page.getByRole('button', { name: 'Undo' })
    await undo.waitFor()
    await page.waitForFunction(() => document.activeElement?.textContent === 'Undo')
    assert.equal(await page.getByRole('status').textContent(), 'This video is hidden from your suggestions.')
    assert.deepEqual(site.asked(HIDE)[0].body, { kind: 'video', id: FIRST })
    assert.equal(site.asked(HIDE)[0].headers.authorization, 'Bearer token')
    assert.equal(await page.locator('.video-name').first().isVisible(), false)
    assert.equal(await page.locator('.video-name').last().isVisible(), true)

    await page.keyboard.press('Enter')
    await toggle().waitFor()
    await page.waitForFunction(() => document.activeElement?.textContent === 'Hide')
    assert.deepEqual(site.asked(SHOW)[0].body, { kind: 'video', id: FIRST })
    assert.equal(await page.locator('.video-name').first().isVisible(), true)
    assert.deepEqual(page.errors, [])
  })

  it('hides a channel by its address', async () => {
    await toggle().click()
    await page.getByRole('button', { name: 'Hide this channel' }).first().click()
    await page.getByText('This channel is hidden from your suggestions.').first().waitFor()
    assert.deepEqual(site.asked(HIDE)[0].body, { kind: 'channel', id: CHANNEL })
    assert.equal(await page.locator('.shoal-hidden').count(), 1)
  })

  it('hides all suggestions of a channel at once, and brings all back from any of them', async () => {
    const videos = [FIRST, SECOND].map((uuid, place) => ({ uuid, title: ['First', 'Second'][place], page: 'news@far.example' }))
    await page.evaluate(videos => window.shell.list(videos), videos)
    await toggle().click()
    await page.getByRole('button', { name: 'Hide this channel' }).first().click()
    await page.waitForFunction(() => document.querySelectorAll('.shoal-hidden').length === 2)
    await page.getByRole('button', { name: 'Undo' }).last().click()
    await page.waitForFunction(() => document.querySelectorAll('.shoal-hidden').length === 0)
    assert.deepEqual(site.asked(SHOW)[0].body, { kind: 'channel', id: CHANNEL })
  })

  it('closes with Escape and gives the focus back', async () => {
    await toggle().click()
    await page.keyboard.press('Tab')
    await page.keyboard.press('Escape')
    assert.equal(await toggle().getAttribute('aria-expanded'), 'false')
    assert.equal(await focused(), 'Hide')
    assert.equal(await page.getByRole('button', { name: 'Hide this video' }).count(), 0)
  })

  it('keeps what was hidden when the list is drawn again', async () => {
    await toggle().click()
    await page.getByRole('button', { name: 'Hide this video' }).first().click()
    await page.getByRole('button', { name: 'Undo' }).waitFor()
    await page.evaluate(videos => window.shell.list(videos), [{ uuid: SECOND, title: 'Second' }, { uuid: FIRST, title: 'First' }])
    await page.getByRole('button', { name: 'Undo' }).waitFor()
    assert.equal(await page.locator('.shoal-hidden').count(), 1)
  })

  it('says what to do when it fails, and changes nothing', async () => {
    const failures = [
      [DROPPED, /did not answer.*try again/],
      [answer(401), /Log in again/],
      [answer(403), /not allowed/],
      [answer(404), /reload the page/],
      [answer(410, { error: 'Gone' }), /Everything was erased/],
      [answer(429), /Wait a minute/],
      [answer(400, { error: 'You have hidden 5000 things' }), /refused: You have hidden 5000 things/],
      [answer(503), /Try again later/],
      [answer(200, '<html>'), /does not understand/]
    ]
    await toggle().click()
    for (const [failure, expected] of failures) {
      site.routes.set(HIDE, () => failure)
      await page.getByRole('button', { name: 'Hide this video' }).click()
      await page.waitForFunction(source => new RegExp(source).test(document.querySelector('[role=alert]')?.textContent ?? ''), expected.source)
      assert.equal(await page.locator('.shoal-hidden').count(), 0)
      assert.equal(await focused(), 'Hide this video')
    }
    assert.deepEqual(page.errors, [])
  })

  it('sends one request however often it is pressed', async () => {
    let let_go = () => {}
    site.routes.set(HIDE, () => new Promise(resolve => { let_go = () => resolve(answer(204, '')) }))
    await toggle().click()
    const button = page.getByRole('button', { name: 'Hide this video' })
    for (let press = 0; press < 3; press++) await button.dispatchEvent('click')
    await page.waitForTimeout(100)
    assert.equal(site.asked(HIDE).length, 1)
    let_go()
    await page.getByRole('button', { name: 'Undo' }).waitFor()
  })
})
