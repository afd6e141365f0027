/** Models by what they would change, and any video by what speaks for it. */
import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'

import { AWAITING, Control } from '../host/control.js'
import { adminRoutes } from './answers.js'
import { answer, needsBrowser, openSite } from './browser.js'
import { rested } from './views.js'

const ADMIN = { role: { id: 0, label: 'Administrator' } }
const PICTURE = '/lazy-static/thumbnails/tides.jpg'
const ELSEWHERE = '//elsewhere.example/spy.jpg'

describe('models and videos', needsBrowser, () => {
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
    adminRoutes(site)
    control = site.control = new Control()
    site.routes.set('api GET search/videos', ({ query }) => ({
      data: [query.uuids].flat().map(uuid => (
        { uuid, thumbnailPath: uuid.startsWith('4') ? PICTURE : `https:${ELSEWHERE}`, previewPath: ELSEWHERE }))
    }))
    page = await site.page()
  })

  const open = async tab => {
    await page.evaluate(user => window.shell.login(user), ADMIN)
    await page.evaluate(tab => history.replaceState({}, '', `${location.search}#${tab}`), tab)
    await page.evaluate(() => window.shell.open('/', 'shoal'))
    await rested(page)
  }
  const model = id => page.getByRole('listitem').filter({ hasText: id })
  const dialog = () => page.getByRole('dialog')
  const orders = () => control.asked.filter(({ method }) => method === 'POST').map(({ path }) => path)
  const lookUp = async () => {
    await open('lookup')
    await page.getByRole('searchbox', { name: 'Words of its title' }).fill('boat')
    await page.keyboard.press('Enter')
    await page.getByText('2 videos').waitFor()
    await page.getByRole('button', { name: /^Look up: .Crossing/ }).press('Enter')
    await page.waitForFunction(() => document.activeElement?.textContent.startsWith('Beside'))
  }

  it('shows what viewers would see before an admin lets a model serve', async () => {
    await open('models')
    const waiting = model(AWAITING).first()
    await waiting.getByText('41 of your 60 most watched videos would get another list.').waitFor()
    const first = waiting.locator('.shoal-compared').first()
    const [before, after] = await first.locator('ol').allInnerTexts()
    assert.match(before, /^Tides and winds\n+sea@reef\.example\n+only in this list\n+Knots for beginners/)
    assert.match(after, /^Knots for beginners\n+sea@here\.example\n+A boat of one’s own\n+sea@reef\.example\n+only/)
    assert.match(await waiting.locator('.shoal-compared').nth(1).innerText(), /No list: PeerTube shows its own/)
    assert.deepEqual(page.errors, [])
  })

  it('takes pictures from its own instance alone, all of a list in one question', async () => {
    await open('models')
    await page.locator('.shoal-compared img').first().waitFor()
    const pictures = await page.locator('.shoal-compared img').evaluateAll(images => images.map(image => image.getAttribute('src')))
    assert.deepEqual([...new Set(pictures)], [PICTURE])
    const asked = page.sent.map(({ url }) => new URL(url)).filter(({ pathname }) => pathname === '/api/v1/search/videos')
    assert.ok(asked.length <= 2, 'one for each model that waits')
    assert.ok(asked.every(({ searchParams }) => searchParams.get('searchTarget') === 'local'))
    assert.ok(page.sent.every(({ url }) => url.startsWith(site.url)))
  })

  it('says that PeerTube’s own list is what a first model would replace', async () => {
    for (const one of control.models) one.current = false
    await open('models')
    const lists = site.routes
    lists.set(`GET admin/v1/control/models/${AWAITING}/lists`, () => ({ model: AWAITING, served: null, differ: 0, of: 0, lists: [] }))
    await page.evaluate(() => { location.hash = 'overview' })
    await page.evaluate(() => { location.hash = 'models' })
    await model(AWAITING).first().getByText('There is no video yet to compare lists of.').waitFor()
  })

  it('goes back to a model that served before', async () => {
    control.models[3].state = 'ready'
    await open('models')
    await model(control.models[3].id).getByRole('button', { name: 'Go back to it…' }).press('Enter')
    await dialog().getByText('The next training makes a new model').waitFor()
    await dialog().getByRole('button', { name: 'Cancel' }).click()
    assert.deepEqual(orders(), [])
    await model(control.models[3].id).getByRole('button', { name: 'Go back to it…' }).press('Enter')
    await dialog().getByRole('button', { name: 'Go back' }).click()
    await page.getByRole('status').filter({ hasText: 'serves again' }).waitFor({ state: 'attached' })
    assert.deepEqual(orders(), [`models/${control.models[3].id}/rollback`])
    assert.equal(await page.getByRole('button', { name: 'Go back to it…' }).count(), 1, 'the one that served')
  })

  it('looks up what is beside a video, why, and what it were without that', async () => {
    await lookUp()
    const list = page.locator('.shoal-looked-up > li')
    assert.match(await list.nth(0).innerText(), /^Tides and winds\s+sea@reef\.example\s+About 20 or more viewers liked/)
    assert.match(await list.nth(1).innerText(), /Shares the tags .?sea.? and .?boats/)
    assert.match(await list.nth(2).innerText(), /^https:\/\/here\.example\/videos\/watch\/gone/)
    assert.deepEqual(control.asked.at(-1).query, { video: 'https://here.example/videos/watch/sea', limit: '10' })

    await list.nth(0).getByText('What speaks for it').first().click()
    const rows = await list.nth(0).getByRole('row').allInnerTexts()
    assert.match(rows[1], /Viewers liked or watched both\s+62%\s+1 → 4/)
    assert.match(rows[2], /Tag .?sea.?\s+30%\s+1, the same/)
    assert.match(rows[3], /Watched by many\s+8%\s+not in the list/)
    await list.nth(2).getByText('What speaks for it').first().click()
    await list.nth(2).getByText('It has a place that is kept for new videos').waitFor()

    await page.getByRole('searchbox').fill('nothing like it')
    await page.keyboard.press('Enter')
    await page.getByText('No public video has these words').waitFor()
    assert.equal(await list.count(), 0)
    assert.deepEqual(page.errors, [])
  })

  it('leads on to the next video, and back', async () => {
    await lookUp()
    await page.getByRole('button', { name: /^Look up: .Knots/ }).press('Enter')
    await page.waitForFunction(() => document.activeElement?.textContent.includes('Knots'))
    assert.equal(control.asked.at(-1).query.video, 'https://here.example/videos/watch/knots')
    await page.getByRole('button', { name: /^Back to .Crossing/ }).press('Enter')
    await page.waitForFunction(() => document.activeElement?.textContent.includes('Crossing'))
    assert.equal(await page.getByRole('button', { name: /^Back to/ }).count(), 0)
  })

  it('keeps the list when the next video cannot be looked up', async () => {
    await lookUp()
    site.routes.set('GET admin/v1/control/related', () => answer(503, { code: 'daemon-away', message: 'x', advice: 'y' }))
    await page.getByRole('button', { name: /^Look up: .Knots/ }).click()
    await page.getByRole('alert').filter({ hasText: 'does not answer' }).waitFor()
    assert.equal(await page.locator('.shoal-looked-up > li').count(), 3)
  })
})
