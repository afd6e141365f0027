/** The pages with the plugin's own server side behind them: the answers that other tests make up are those it gives. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { fixture } from '../server/fixture.js'
import { answer, needsBrowser, openSite } from './browser.js'

describe('pages and server', needsBrowser, () => {
  let site, world, anna, admin, video
  before(async () => {
    site = await openSite()
    world = await fixture({ major: 8 })
    anna = await world.seed.user('anna')
    admin = await world.seed.user('admin', { role: 0 })
    video = await world.seed.video(world.creator.channel, { name: 'Sailing <b>home</b>' })
    await world.seed.watch(anna, video)
    world.daemon.on('/v1/viewers/known', (_request, response) => {
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify({ videos: [{ ...video, liked: true, disliked: false, watched: 0.5, at: 1e9 }] }))
    })
    world.daemon.on('/v1/viewers/forget', (_request, response) => { response.writeHead(204).end() })
  })
  after(async () => {
    await site?.close()
    await world?.close()
  })

  /** Sends what the page asks to the plugin on the host, as this user. */
  const serve = user => {
    site.fallback = async ({ key, path, method, body }) => {
      const base = key.startsWith('api ') ? '/api/v1/' : world.host.base
      const json = method === 'GET' ? undefined : body
      const response = await world.host.fetch(base + path, { method, user, json })
      const text = await response.text()
      return response.ok && text ? JSON.parse(text) : answer(response.status, text)
    }
  }
  const rested = page => page.waitForFunction(() => (
    document.querySelector('.shoal-section') && !document.querySelector('[aria-busy]')))

  it('let a viewer choose, look, bring back and withdraw', async () => {
    serve(anna)
    await world.call('POST', 'viewer/v1/hidden', { user: anna, json: { kind: 'video', id: video.uuid } })
    const page = await site.page()
    await page.evaluate(() => window.shell.login({}))
    await page.evaluate(() => window.shell.open('/my-account', 'shoal'))
    await rested(page)
    assert.equal(await page.getByRole('button', { name: 'Try again' }).count(), 0, 'every part loads')

    await page.getByRole('switch', { name: 'Take part in training' }).click()
    await page.getByRole('status').filter({ hasText: 'Saved.' }).waitFor({ state: 'attached' })
    const choice = async () => (await world.call('GET', 'viewer/v1/choice', { user: anna })).body.training
    assert.equal(await choice(), true)

    const discovery = async () => (await world.call('GET', 'viewer/v1/discovery', { user: anna })).body.discovery
    const said = page.getByRole('status').filter({ hasText: 'Saved.' })
    for (const [name, expected] of [['Explore', 'explore'], ['As this site sets it', null], ['Familiar', 'familiar']]) {
      await page.evaluate(() => { document.querySelector('.shoal-page [role=status]').textContent = '' })
      await page.getByRole('radio', { name }).click()
      await said.waitFor({ state: 'attached' })
      assert.equal(await discovery(), expected)
    }

    await page.getByRole('button', { name: 'Show it' }).click()
    await page.getByText('1 video', { exact: true }).waitFor()
    const known = page.getByRole('region', { name: 'What is known about you' }).getByRole('listitem')
    assert.equal(await known.textContent(), 'Sailing <b>home</b>liked · watched 50% · Sep 9, 2001')

    await page.getByRole('button', { name: /^Show again: .Sailing/ }).click()
    await page.getByText('You have hidden nothing.').waitFor()
    assert.deepEqual((await world.call('GET', 'viewer/v1/hidden', { user: anna })).body, { videos: [], channels: [] })

    await page.getByRole('button', { name: 'Withdraw and erase…' }).click()
    await page.getByRole('button', { name: 'Erase', exact: true }).click()
    await page.getByText('what was known about you has been erased').waitFor()
    assert.deepEqual([await choice(), await discovery()], [false, null])
    await page.waitForFunction(() => document.querySelector('.shoal-radio')?.checked)
    assert.deepEqual(page.errors, [])
  })

  it('let the owner of a channel take it out', async () => {
    serve(world.creator)
    const page = await site.page()
    await page.evaluate(() => window.shell.login({ videoChannels: [{}] }))
    await page.evaluate(() => window.shell.open('/my-account', 'shoal'))
    await rested(page)
    await page.getByRole('switch', { name: /^Leave/ }).first().click()
    await page.getByRole('status').filter({ hasText: 'Saved.' }).waitFor({ state: 'attached' })
    const { channels } = (await world.call('GET', 'owner/v1/channels', { user: world.creator })).body
    assert.equal(channels.filter(({ excluded }) => excluded).length, 1)
  })

  it('let an administrator see and exclude, with every sentence in French', async () => {
    serve(admin)
    const page = await site.page({ language: 'fr' })
    await page.evaluate(() => window.shell.login({ role: { id: 0, label: 'Administrator' } }))
    site.routes.set('api GET plugins/peertube-plugin-shoal', () => ({ settings: {} }))
    await page.evaluate(() => history.replaceState({}, '', '#plugin'))
    await page.evaluate(() => window.shell.open('/', 'shoal'))
    await rested(page)
    const { checks } = (await world.call('GET', 'admin/v1/diagnostics', { user: admin })).body
    const said = await page.locator('.shoal-check p').allTextContents()
    assert.equal(said.length, checks.length)
    for (const [place, { message, advice }] of checks.entries()) {
      assert.notEqual(said[place], message || advice, 'in French')
    }

    await page.getByRole('textbox', { name: 'Instances' }).fill('spam.example')
    await page.getByRole('button', { name: 'Enregistrer' }).click()
    await page.getByText('Enregistré.').waitFor()
    const { hosts } = (await world.call('GET', 'admin/v1/exclusions', { user: admin })).body
    assert.deepEqual(hosts, ['spam.example'])
    assert.deepEqual(page.errors, [])
  })
})
