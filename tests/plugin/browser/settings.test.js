/** What administrators choose and start on the page: against the stand-in, and from off to contributing against real daemons. */
import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'

import { Control } from '../host/control.js'
import { TOKEN, needsBrowser, openSite } from './browser.js'
import { needsDaemon, startDaemon } from './real-daemon.js'
import { lostKeyboard, tooWide, unreadable } from './checks.js'
import { rested } from './views.js'

describe('settings', needsBrowser, () => {
  /** @type {Awaited<ReturnType<typeof openSite>>} */
  let site
  /** @type {any} */
  let page
  /** @type {Control} */
  let control
  before(async () => { site = await openSite() })
  after(() => site?.close())
  beforeEach(async () => {
    await page?.context().close()
    site.reset()
    control = site.control = new Control()
  })
  const open = async (look = {}) => {
    page = await site.alone({ fragment: `#token=${TOKEN}&tab=settings`, ...look })
    await rested(page)
  }
  const region = name => page.getByRole('region', { name, exact: true })
  const radio = name => page.getByRole('radio', { name, exact: true })
  const orders = () => control.asked.filter(({ method }) => method === 'POST').map(({ path, body }) => [path, body])

  it('changes nothing until the button is pressed, and asks before anything is let out', async () => {
    control.settings.holds.mode = 'off'
    await open()
    assert.equal(await radio('Off').isChecked(), true)
    await radio('Contribute').check()
    const dry = page.locator('.shoal-dry')
    await dry.getByText('214').waitFor()
    const text = await dry.innerText()
    assert.match(text, /reef\.example, harbour\.example/)
    assert.match(text, /How many of your viewers engaged with each video/)
    assert.ok(text.split(/\s+/).length < 120, 'a short look')
    assert.deepEqual(orders(), [])

    await page.getByRole('button', { name: 'Switch to “Contribute”' }).click()
    const dialog = page.getByRole('dialog')
    assert.match(await dialog.innerText(), /Leaves this instance: for each public video[^]*a sum over 4 members/)
    await dialog.getByRole('button', { name: 'Keep it as it is' }).click()
    assert.deepEqual(orders(), [])
    await page.getByRole('button', { name: 'Switch to “Contribute”' }).click()
    await dialog.getByRole('button', { name: 'Switch to “Contribute”' }).click()
    await page.getByRole('status').filter({ hasText: 'Changed.' }).waitFor({ state: 'attached' })
    assert.deepEqual(orders(), [['settings', { mode: 'contribute', agreed: ['lets_contribute'] }]])
    assert.match(await region('Mode').innerText(), /Contribute\s+in effect/)

    // What protects more is not asked about.
    await radio('Strict').check()
    await page.getByRole('button', { name: 'Use “Strict”' }).click()
    await page.waitForFunction(() => document.querySelectorAll('.pt-badge').length > 0)
    assert.deepEqual(orders().at(-1), ['settings', { level: 'strict', agreed: [] }])
    assert.deepEqual(page.errors, [])
  })

  it('shows each level with what it costs, and none without noise for real viewers', async () => {
    await open()
    const text = await region('Privacy level').innerText()
    assert.match(text, /Strict[^]*Epsilon in one data window\s+0\.5\s+Epsilon in the first year\s+6\.7/)
    assert.match(text, /15\.6 MB[^]*Quality kept on anime-5k\s+74%/)
    assert.match(text, /Makes sense only where the most watched video has 10,000 viewers/)
    assert.equal(await radio('None').count(), 0)
  })

  it('locks what a variable sets, and names it', async () => {
    control.settings.origins.mode = 'SHOAL_MODE'
    await open()
    assert.match(await region('Mode').innerText(), /SHOAL_MODE sets this/)
    assert.equal(await radio('Off').isDisabled(), true)
  })

  it('starts jobs, shows how they are doing, and why one cannot start', async () => {
    await open()
    const text = await region('Now').innerText()
    assert.match(text, /1,402 videos and 214 viewers were read/)
    assert.match(text, /It failed\. a member is too slow\. Try again later\./)
    assert.match(text, /The peers gave their sum for this data window/)
    assert.equal(await page.getByRole('button', { name: 'Start a round' }).count(), 0)
    assert.equal(await page.getByRole('progressbar', { name: 'Training' }).getAttribute('value'), '0.4')
    await page.getByRole('button', { name: 'Train now' }).click({ force: true })
    await page.getByRole('button', { name: 'Sync now' }).click()
    await page.getByRole('status').filter({ hasText: 'Started.' }).waitFor({ state: 'attached' })
    assert.deepEqual(orders(), [['start', { job: 'sync' }]], 'one that runs is not started again')
    assert.equal(await page.evaluate(() => document.activeElement?.textContent), 'Sync now')
    control.settings.jobs = control.settings.jobs.map(job => ({ ...job, running: null, progress: null }))
    await page.waitForFunction(() => !document.querySelector('progress:not([hidden])'))
  })

  it('finds shared videos by words, 25 at a time', async () => {
    await open()
    await page.getByText('Shared', { exact: true }).click()
    const videos = region('Videos in it')
    await videos.getByText('1–25 of 1,310').waitFor()
    assert.equal(await videos.getByRole('row').count(), 26)
    await videos.getByRole('button', { name: 'Next' }).click()
    await videos.getByText('26–50 of 1,310').waitFor()
    await videos.getByRole('searchbox').fill('tides')
    await page.keyboard.press('Enter')
    await videos.getByText('1–25 of 262').waitFor()
    await videos.getByRole('searchbox').fill('nothing like it')
    await page.keyboard.press('Enter')
    await videos.getByText('No video holds these words.').waitFor()
    // The definitions are there for whoever wants them.
    assert.equal(await region('Kinds of data that leave').getByRole('definition').first().isVisible(), false)
  })

  it('tells the ledger in sentences, with what is stored behind them', async () => {
    await open()
    await page.getByText('Ledger', { exact: true }).click()
    const entry = region('Ledger').getByRole('listitem').nth(1)
    await entry.waitFor()
    assert.match(await entry.innerText(), /^Trained model .20261101-090000-federated-0a0b0c. from/)
    assert.equal(await entry.locator('pre').isVisible(), false)
    await entry.locator('summary').click()
    assert.match(await entry.locator('pre').innerText(), /"kind": "model"/)
  })

  for (const look of [{ width: 360 }, { width: 1900 }, { dark: true }, { language: 'fr' }]) {
    it(`can be read and reached: ${JSON.stringify(look)}`, async () => {
      control.settings.holds.mode = 'off'
      await open(look)
      await page.locator('input[value=contribute]').check()
      await page.locator('.shoal-dry .shoal-facts').waitFor()
      await page.evaluate(() => { for (const box of document.querySelectorAll('details')) box.open = true })
      await rested(page)
      assert.deepEqual(await tooWide(page), [])
      assert.deepEqual(await unreadable(page), { faint: [], small: [] })
      if (look.width === 360) assert.deepEqual(await lostKeyboard(page), [])
      assert.deepEqual(page.errors, [])
    })
  }
})

describe('from off to contributing', { ...needsDaemon, timeout: 600_000 }, () => {
  let site, daemon
  before(async () => {
    site = await openSite()
    daemon = await startDaemon('tests.daemon.daemon_to_turn_on')
  })
  after(async () => {
    await site?.close()
    await daemon?.stop()
  })

  it('takes clicks alone: a circle, a level, the mode, the first round', async t => {
    const { at } = daemon
    const context = await site.browser.newContext({ locale: 'en' })
    const page = await context.newPage()
    const errors = []
    page.on('pageerror', error => errors.push(String(error)))
    let clicks = 0
    const click = async (target, options) => {
      await target.click(options)
      clicks++
    }
    const began = Date.now()
    await page.goto(`${at.url}/admin/#token=${at.token}`)
    await click(page.getByRole('tab', { name: 'Peers' }))
    await click(page.getByRole('button', { name: 'Approve 2 instances' }), { timeout: 60_000 })
    await page.getByRole('status').filter({ hasText: '2 instances are approved.' }).first().waitFor({ state: 'attached', timeout: 60_000 })
    await click(page.getByRole('tab', { name: 'Settings' }))
    await click(page.getByRole('radio', { name: 'Strict' }))
    await click(page.getByRole('button', { name: 'Use “Strict”' }))
    await page.waitForFunction(() => /** @type {any} */ (document.querySelector('input[value=strict]'))?.closest('.shoal-card').querySelector('.pt-badge'), undefined, { timeout: 60_000 })
    await click(page.getByRole('radio', { name: 'Contribute' }))
    await page.locator('.shoal-dry .shoal-facts').waitFor({ timeout: 120_000 })
    await click(page.getByRole('button', { name: 'Switch to “Contribute”' }))
    await click(page.getByRole('dialog').getByRole('button', { name: 'Switch to “Contribute”' }))
    await click(page.getByRole('button', { name: 'Start a round' }), { timeout: 60_000 })
    const started = Date.now() - began
    const round = page.getByRole('listitem').filter({ has: page.getByRole('heading', { name: 'Round', exact: true }) })
    await round.getByText('4 instances were summed.').waitFor({ timeout: 300_000 })
    t.diagnostic(`${clicks} clicks; round started after ${(started / 1000).toFixed(0)} s, summed after ${((Date.now() - began) / 1000).toFixed(0)} s`)
    assert.ok(clicks <= 12, `${clicks} clicks`)
    assert.deepEqual(errors, [])
  })
})
