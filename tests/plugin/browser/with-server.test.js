/** The pages with the plugin's own server side behind them: the answers that other tests make up are those it gives. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { fixture } from '../server/fixture.js'
import { needsBrowser, openSite } from './browser.js'
import { needsDaemon, startDaemon } from './real-daemon.js'
import { TABS, rested } from './views.js'

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

  const serve = user => { site.fallback = handedTo(world.host, user) }

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

  it('tell an administrator what is wrong while the daemon is away, with every sentence in French', async () => {
    serve(admin)
    const page = await site.page({ language: 'fr' })
    await openAdmin(page)
    const { checks } = (await world.call('GET', 'admin/v1/diagnostics', { user: admin })).body
    const said = await page.locator('.shoal-check p').allTextContents()
    assert.equal(said.length, checks.length)
    for (const [place, { message, advice }] of checks.entries()) {
      assert.notEqual(said[place], message || advice, 'in French')
    }
    assert.deepEqual(page.errors, [])
  })
})

describe('the daemon\'s page inside PeerTube', needsDaemon, () => {
  let site, world, admin, daemon
  before(async () => {
    site = await openSite()
    daemon = await startDaemon()
    world = await fixture({ saved: { 'daemon-url': daemon.at.url, secret: daemon.at.secret } })
    admin = await world.seed.user('admin', { role: 0 })
    site.fallback = handedTo(world.host, admin)
    site.routes.set('api GET plugins/peertube-plugin-shoal', () => ({ settings: {} }))
  })
  after(async () => {
    await site?.close()
    await daemon?.stop()
    await world?.close()
  })

  it('shows every tab, passes on a decision and excludes', async () => {
    const page = await site.page()
    await openAdmin(page)
    assert.equal(await page.getByRole('tab').count(), TABS.length)
    const turn = async tab => {
      await page.evaluate(tab => { location.hash = tab }, tab)
      await rested(page)
      assert.equal(await page.getByRole('button', { name: 'Try again' }).count(), 0, tab)
    }
    for (const tab of TABS) await turn(tab)

    await turn('peers')
    const asking = page.locator(`tbody[data-host="${daemon.at.asking}"]`)
    await asking.getByRole('button', { name: /^Approve/ }).click()
    await page.getByRole('dialog').getByRole('button', { name: /approve$/ }).click()
    await asking.getByText('approved', { exact: true }).waitFor()

    await turn('settings')
    const checks = page.getByRole('region', { name: 'Does it work?' }).getByRole('listitem')
    await checks.filter({ hasText: 'The daemon has the same secret.' }).waitFor()
    await page.getByRole('textbox', { name: 'Instances' }).fill('spam.example')
    await page.getByRole('button', { name: 'Save' }).click()
    await page.getByText('Saved.').last().waitFor()
    const { hosts } = (await world.call('GET', 'admin/v1/exclusions', { user: admin })).body
    assert.deepEqual(hosts, ['spam.example'])

    // The theme is PeerTube's: the page brings no colours of its own.
    const line = await page.locator('.shoal-tab[aria-selected=true]').evaluate(tab => [
      getComputedStyle(tab).borderBlockEndColor, getComputedStyle(document.body).getPropertyValue('--border-primary')])
    assert.ok(line.every(colour => colour !== ''))
    assert.equal(await page.evaluate(() => [...document.styleSheets].filter(({ href }) => href?.includes('standalone')).length), 0)
    assert.deepEqual(page.errors, [])
  })

  it('makes a viewer\'s own list', async () => {
    const response = await fetch(`${daemon.at.url}/v1/recommendations`, {
      method: 'POST', body: '{"limit":3}', headers: { 'content-type': 'application/json', 'x-shoal-secret': daemon.at.secret }
    })
    const [{ uuid }] = (await response.json()).videos
    await world.seed.video(world.creator.channel, { uuid })
    const user = await world.seed.user()
    await world.call('PUT', 'viewer/v1/choice', { user, json: { training: true, personal: true } })
    await world.call('PUT', 'viewer/v1/discovery', { user, json: { discovery: 'explore' } })
    const { state, known, data } = (await world.call('GET', 'recommendations/v1/videos', { user })).body
    assert.deepEqual([state, known, data.map(video => video.uuid)], ['ready', 0, [uuid]])
    assert.notEqual(data[0].reason.kind, '')
  })

  it('sends the administrator\'s token to the routes of this PeerTube, and with no file', async () => {
    const page = await site.page()
    await openAdmin(page)
    const files = page.sent.filter(({ url }) => url.includes('/router/admin/v1/page/'))
    assert.ok(files.length > 30)
    assert.ok(files.every(({ headers }) => headers.authorization === undefined))
    const asked = page.sent.filter(({ url }) => url.includes('/router/admin/v1/control/'))
    assert.ok(asked.length > 0)
    assert.ok(asked.every(({ headers }) => headers.authorization === 'Bearer token'))
    assert.ok(page.sent.every(({ url, headers }) => url.startsWith(site.url) && !headers['x-shoal-secret'] && !headers['x-shoal-admin']))
  })

  it('leaves nothing of its looks on the page after it', async () => {
    const page = await site.page()
    await openAdmin(page)
    const sheets = () => page.evaluate(() => [...document.styleSheets].filter(({ href }) => href?.includes('/admin/v1/page/')).length)
    assert.equal(await sheets(), 2)
    await page.evaluate(() => window.shell.leave())
    assert.equal(await sheets(), 0)
  })

  it('is replaced by what is wrong, and what to do, when the daemon stops; and comes back with it', async () => {
    await daemon.stop()
    const page = await site.page()
    await openAdmin(page)
    assert.equal(await page.getByRole('tab').count(), 0)
    await page.getByRole('alert').filter({ hasText: 'The daemon of this instance does not answer. Start it, then try again.' }).waitFor()
    const checks = page.getByRole('region', { name: 'Does it work?' }).getByRole('listitem')
    await checks.filter({ hasText: 'Start the daemon, and check its address in the settings' }).waitFor()
    assert.equal(await checks.filter({ hasText: 'needs attention' }).count(), 1)
    await page.getByRole('button', { name: 'Erase everything…' }).waitFor()

    daemon = await startDaemon()
    await world.host.save({ ...world.host.saved, 'daemon-url': daemon.at.url })
    await page.getByRole('button', { name: 'Try again' }).click()
    await page.getByRole('tab', { name: 'Overview' }).waitFor()
    await rested(page)
    assert.deepEqual(page.errors, [])
  })
})

/** Sends what a page asks to the plugin on a host, as this user. */
function handedTo (host, user) {
  return ({ key, path, method, body }) => {
    const base = key.startsWith('api ') ? '/api/v1/' : host.base
    return host.fetch(base + path, { method, user: path.startsWith('admin/v1/page/') ? undefined : user, json: method === 'GET' ? undefined : body })
  }
}

/** Open the administrators' page. */
async function openAdmin (page) {
  await page.evaluate(() => window.shell.login({ role: { id: 0, label: 'Administrator' } }))
  await page.evaluate(() => window.shell.open('/', 'shoal'))
  await rested(page)
}
