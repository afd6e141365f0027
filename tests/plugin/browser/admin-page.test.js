/** The administrators' page. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { CHANNEL, VIDEO, VIDEO_URL, adminRoutes } from './answers.js'
import { DROPPED, answer, needsBrowser } from './browser.js'
import { ADMIN, controlSite } from './control-site.js'

const SAVE = 'PUT admin/v1/exclusions'
const SETTINGS = 'api PUT plugins/peertube-plugin-shoal/settings'

describe('admin page', needsBrowser, () => {
  const here = controlSite()
  const open = user => here.open('settings', user)
  const region = name => here.page.getByRole('region', { name })
  const field = name => region('Never suggest').getByRole('textbox', { name })
  const save = () => region('Never suggest').getByRole('button', { name: 'Save' })

  it('is for administrators only, and asks nothing for others', async () => {
    for (const user of [null, { role: { id: 2 } }, { role: { id: 1 } }]) {
      await open(user)
      assert.match(await here.page.locator('#content').textContent(), /for administrators of this instance/)
      assert.equal(await here.page.getByRole('region').count(), 0)
    }
    assert.equal(here.site.requests.length, 0)
  })

  it('has a link in the menu of administrators only', async () => {
    await here.page.evaluate(user => window.shell.login(user), ADMIN)
    const sections = await here.page.evaluate(() => window.shell.menu())
    assert.deepEqual(sections[0].links.map(({ path, label }) => [path, label]), [['/p/shoal', 'Suggestions (Shoal)']])
    await here.page.evaluate(() => window.shell.login({}))
    const links = (await here.page.evaluate(() => window.shell.menu())).flatMap(section => section.links)
    assert.ok(links.every(({ path }) => path !== '/p/shoal'))
  })

  it('says what works, what does not, and what to do', async () => {
    await open()
    const items = await region('Does it work?').getByRole('listitem').allTextContents()
    assert.equal(await region('Does it work?').getByRole('status').textContent(), '1 thing needs attention.')
    assert.equal(items[0], 'worksDaemonThe daemon answers.')
    assert.match(items[1], /^needs attentionSecretCopy the secret from the settings/)
    assert.match(items[2],
      /^nothing to say yetViewers who take partViewers who take part: 3\. With fewer than about 100, noise hides/)
    assert.equal(items[3], 'worksof tomorrow<b>new</b>')

    here.site.routes.set('GET admin/v1/diagnostics', () => ({ checks: [{ id: 'daemon', ok: true, message: 'The daemon answers.', advice: '' }] }))
    await region('Does it work?').getByRole('button', { name: 'Check again' }).press('Enter')
    await region('Does it work?').getByText('Nothing needs attention.').waitFor()
    assert.equal(await here.page.evaluate(() => document.activeElement?.textContent), 'Check again')
  })

  it('says the server\'s sentences in French, numbers included', async () => {
    here.page = await here.site.page({ language: 'fr' })
    await open()
    const items = await here.page.getByRole('region', { name: 'Est-ce que tout fonctionne ?' }).getByRole('listitem').allTextContents()
    assert.equal(items[0], 'fonctionneServiceLe service répond.')
    assert.match(items[2], /Membres qui participent : 3\. Avec moins de 100 environ, le bruit cache/)
  })

  it('switches the related list without losing other settings', async () => {
    await open()
    const related = here.page.getByRole('switch', { name: /Fill “Other videos”/ })
    assert.equal(await related.isChecked(), true)
    await related.focus()
    await here.page.keyboard.press('Space')
    await here.page.getByRole('status').filter({ hasText: 'Saved.' }).waitFor({ state: 'attached' })
    assert.deepEqual(here.site.asked(SETTINGS)[0].body, {
      settings: { 'related-list': false, 'daemon-url': 'http://127.0.0.1:9731', secret: 'kept' }
    })

    here.site.routes.set(SETTINGS, () => answer(503))
    await related.click()
    await region('Related videos').getByRole('alert').filter({ hasText: 'Try again later' }).waitFor()
    assert.equal(await related.isChecked(), false)
  })

  it('saves exclusions as all instances know them', async () => {
    await open()
    assert.equal(await field('Channels').inputValue(), CHANNEL)
    await field('Channels').fill(`${CHANNEL}\n\n@talk@far.example\nhttps://here.example/c/show@there.example/videos\n${CHANNEL}`)
    await field('Instances').fill('Spam.Example\nhttps://bad.example/about')
    await field('Videos').fill(`${here.site.url}/w/${VIDEO}\nhttps://other.example/w/${VIDEO.replace('0b', '0c')}?start=1s`)
    await save().press('Enter')
    await region('Never suggest').getByRole('status').filter({ hasText: 'Saved.' }).waitFor()
    assert.deepEqual(here.site.asked(SAVE)[0].body, {
      channels: [CHANNEL, 'https://far.example/video-channels/talk', 'https://there.example/video-channels/show'],
      hosts: ['spam.example', 'bad.example'],
      videos: [VIDEO_URL, `https://other.example/videos/watch/${VIDEO.replace('0b', '0c')}`]
    })
    assert.equal(await field('Instances').inputValue(), 'spam.example\nbad.example')
  })

  it('says which line is not understood, and saves nothing', async () => {
    await open()
    await field('Instances').fill('good.example\nnot a host\n')
    await save().click()
    await region('Never suggest').getByRole('alert').filter({ hasText: 'Nothing was saved' }).waitFor()
    assert.equal(here.site.asked(SAVE).length, 0)
    assert.equal(await field('Instances').getAttribute('aria-invalid'), 'true')
    assert.match(await region('Never suggest').textContent(), /Line 2 is not understood: .not a host/)
    assert.equal(await field('Instances').evaluate(element => element === document.activeElement), true)

    await field('Instances').fill('good.example')
    await save().click()
    await region('Never suggest').getByRole('status').filter({ hasText: 'Saved.' }).waitFor()
    assert.equal(await field('Instances').getAttribute('aria-invalid'), 'false')
  })

  it('keeps what was typed when saving fails', async () => {
    await open()
    for (const [failure, expected] of [[DROPPED, 'Check your connection'], [answer(403), 'not allowed'], [answer(400, { error: 'hosts is a list of at most 1000.' }), 'at most 1000']]) {
      here.site.routes.set(SAVE, () => failure)
      await field('Instances').fill('typed.example')
      await save().click()
      await region('Never suggest').getByRole('alert').filter({ hasText: expected }).waitFor()
      assert.equal(await field('Instances').inputValue(), 'typed.example')
    }
  })

  it('erases everything only after a clear yes', async () => {
    await open()
    const button = here.page.getByRole('button', { name: 'Erase everything…' })
    await button.click()
    await here.page.keyboard.press('Escape')
    await here.page.getByRole('dialog').waitFor({ state: 'detached' })
    assert.equal(here.site.asked('POST admin/v1/erase').length, 0)
    await button.click()
    await here.page.getByRole('dialog').getByRole('button', { name: 'Erase everything' }).click()
    await region('Erase everything').getByRole('status').filter({ hasText: 'has been erased' }).waitFor()
    assert.deepEqual(here.site.asked('POST admin/v1/erase')[0].body, { confirm: 'erase' })

    here.site.routes.set('POST admin/v1/erase', () => DROPPED)
    await button.click()
    await here.page.getByRole('dialog').getByRole('button', { name: 'Erase everything' }).click()
    await region('Erase everything').getByRole('alert').filter({ hasText: 'Check your connection' }).waitFor()
  })

  it('says of each part what to do when it does not load', async () => {
    for (const key of ['GET admin/v1/diagnostics', 'GET admin/v1/exclusions', 'api GET plugins/peertube-plugin-shoal']) {
      here.site.routes.set(key, () => answer(403))
    }
    await open()
    assert.equal(await here.page.getByRole('alert').filter({ hasText: 'If you should be, log in again' }).count(), 3)
    adminRoutes(here.site)
    for (const part of ['Does it work?', 'Never suggest', 'Related videos']) {
      await region(part).getByRole('button', { name: 'Try again' }).click()
      await region(part).getByRole('button', { name: 'Try again' }).waitFor({ state: 'detached' })
    }
    assert.deepEqual(here.page.errors, [])
  })
})
