/** The administrators' page as the daemon serves it: how it is opened, and that it needs nothing but the daemon. */
import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { after, before, beforeEach, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'

import { addressOf, instancesIn, parseOpening } from '../../../daemon/admin_page/standalone/fragment.js'
import { Control } from '../host/control.js'
import { TOKEN, needsBrowser, openSite } from './browser.js'
import { needsDaemon, startDaemon } from './real-daemon.js'
import { TABS, rested, turnTo } from './views.js'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))

describe('what opens the page', () => {
  it('is a token after the number sign, perhaps with other instances and a tab', () => {
    assert.deepEqual(parseOpening(`#token=${TOKEN}`), { token: TOKEN, instances: [], tab: '' })
    const opened = parseOpening(`#token=${TOKEN}&tab=peers&instance=a.example,9731,${TOKEN}&instance=b.example%3A8443,9741,${TOKEN}`)
    assert.deepEqual(opened, {
      token: TOKEN, tab: 'peers', instances: [{ name: 'a.example', port: '9731', token: TOKEN }, { name: 'b.example:8443', port: '9741', token: TOKEN }]
    })
    for (const hash of ['', '#', '#peers', '#token=', '#token=short', `#token=${'x'.repeat(201)}`, `#token=${TOKEN}!`, `#TOKEN=${TOKEN}`]) {
      assert.equal(parseOpening(hash), null, hash)
    }
  })

  it('can only lead to another port of the same machine', () => {
    const bad = ['', 'a', `a,b,${TOKEN}`, `a,70000000,${TOKEN}`, `a,0,${TOKEN}`, `a,80@evil.example,${TOKEN}`, `a,80/../x,${TOKEN}`,
      'a,9731,short', `,9731,${TOKEN}`, `a,9731,${TOKEN},more`, `${'a'.repeat(256)},9731,${TOKEN}`]
    assert.deepEqual(instancesIn(bad), [])
    assert.equal(instancesIn(Array(100).fill(`a,9731,${TOKEN}`)).length, 32)
    const all = instancesIn([`<b>a</b>&token=x#,9731,${TOKEN}`, `b.example,9741,${TOKEN}`])
    const here = { protocol: 'http:', hostname: '127.0.0.1', pathname: '/admin/' }
    const address = new URL(addressOf(here, all[1], all, 'models'))
    assert.equal(`${address.origin}${address.pathname}${address.search}`, 'http://127.0.0.1:9741/admin/')
    assert.deepEqual(parseOpening(address.hash), { token: TOKEN, instances: all, tab: 'models' }, 'and comes back as it was')
  })
})

describe('the page that the daemon serves', needsBrowser, () => {
  /** @type {Awaited<ReturnType<typeof openSite>>} */
  let site
  /** @type {any} */
  let page
  before(async () => { site = await openSite() })
  after(() => site?.close())
  beforeEach(async () => {
    await page?.context().close()
    site.reset()
    site.control = new Control()
  })
  const heading = () => page.getByRole('heading', { level: 1 }).textContent()
  const port = () => new URL(site.url).port

  it('takes the token out of the address, keeps it for this window, and sends it nowhere else', async () => {
    page = await site.alone({ fragment: `#token=${TOKEN}&tab=peers` })
    await page.getByRole('region', { name: 'Peers', exact: true }).waitFor()
    assert.equal(page.url(), `${site.url}/admin/#peers`)
    await page.waitForFunction(() => document.title === 'here.example · Shoal')
    assert.equal(await heading(), 'Shoal here.example')
    for (const { url, headers } of page.sent) {
      assert.ok(url.startsWith(site.url), url)
      assert.ok(!url.includes(TOKEN), url)
      assert.equal(headers['x-shoal-admin'], new URL(url).pathname.startsWith('/v1/admin/') ? TOKEN : undefined, url)
      assert.ok(!headers.referer, url)
    }
    assert.equal(await page.evaluate(() => localStorage.length + document.cookie.length), 0)
    assert.equal(await page.evaluate(() => history.length), 2, 'a blank page and this one, without the token')

    await page.reload()
    await page.getByRole('region', { name: 'Peers', exact: true }).waitFor()
    const other = await page.context().newPage()
    await other.goto(`${site.url}/admin/`)
    await other.locator('input[type=password]').waitFor()
    assert.deepEqual(page.errors, [])
  })

  it('breaks no rule of the daemon\'s policy for content', async () => {
    const broken = []
    page = await site.alone({ fragment: '' })
    page.on('console', message => { if (/Content Security Policy/i.test(message.text())) broken.push(message.text()) })
    await page.addInitScript(() => { document.addEventListener('securitypolicyviolation', event => console.error(`Content Security Policy: ${event.blockedURI}`)) })
    // Only what follows the number sign is new: the page loads itself again for it.
    await page.goto(`${site.url}/admin/#token=${TOKEN}`)
    await page.waitForFunction(() => document.title === 'here.example · Shoal')
    for (const tab of ['peers', 'models', 'lookup', 'settings', 'overview']) {
      await page.evaluate(tab => { location.hash = tab }, tab)
      await rested(page)
    }
    await page.locator('.shoal-timeline-picture svg').first().waitFor()
    assert.deepEqual(broken, [])
    // The rule holds: what breaks it is stopped.
    await page.evaluate(() => { document.body.setAttribute('style', 'color: red') })
    await page.waitForFunction(() => getComputedStyle(document.body).color !== 'rgb(255, 0, 0)')
    assert.ok(broken.length > 0)
  })

  it('leaves out what only PeerTube has', async () => {
    page = await site.alone()
    await rested(page)
    const tabs = await page.getByRole('tab').allTextContents()
    assert.deepEqual(tabs, ['Overview', 'Peers', 'Models', 'Look up', 'Settings'])
    await turnTo(page, 'settings')
    assert.equal(await page.getByRole('button', { name: 'Erase everything…' }).count(), 0)
  })

  it('asks for the token where it has none, or one that holds no more', async () => {
    page = await site.alone({ fragment: '#peers' })
    const token = page.getByLabel('Token, or that address')
    await token.fill('nonsense')
    await page.keyboard.press('Enter')
    await page.getByRole('alert').filter({ hasText: 'This is no token.' }).waitFor()
    await token.fill('x'.repeat(43))
    await page.getByRole('button', { name: 'Open' }).click()
    await page.getByRole('alert').filter({ hasText: 'does not accept this token' }).waitFor()
    assert.equal(await page.evaluate(() => sessionStorage.length), 0)
    await token.fill(`${site.url}/admin/#token=${TOKEN}&tab=models`)
    await page.keyboard.press('Enter')
    await rested(page)
    assert.equal(await heading(), 'Shoal here.example')
    assert.deepEqual(page.errors, [])
  })

  it('speaks the browser\'s language, where there is a translation', async () => {
    page = await site.alone({ language: 'fr-CA' })
    await page.getByRole('tab', { name: 'Vue d’ensemble' }).waitFor()
    assert.equal(await page.evaluate(() => document.documentElement.lang), 'fr')
    await page.context().close()
    page = await site.alone({ language: 'de' })
    await page.getByRole('tab', { name: 'Overview' }).waitFor()
    assert.equal(await page.evaluate(() => document.documentElement.lang), 'en')
    const languages = /const LANGUAGES = (.*)/.exec(readFileSync(`${ROOT}daemon/admin_page/languages.js`, 'utf8'))[1]
    const folders = readdirSync(`${ROOT}daemon/sentences`, { withFileTypes: true })
      .filter(entry => entry.isDirectory() && !entry.name.startsWith('_')).map(({ name }) => name).sort()
    assert.deepEqual(eval(languages), folders) // eslint-disable-line no-eval
    assert.deepEqual(folders, ['en', ...Object.keys(site.package.translations)], 'it speaks what the plugin speaks')
  })

  it('leads to the other instances of a demonstration, at the same tab', async () => {
    const list = [['here.example', port()], ['<i>b</i>.example', '9741']].map(([name, at]) => (
      `&instance=${encodeURIComponent(`${name},${at},${TOKEN}`)}`)).join('')
    page = await site.alone({ fragment: `#token=${TOKEN}&tab=models${list}` })
    const links = page.getByRole('navigation', { name: 'Instances of this machine' }).getByRole('link')
    await links.first().waitFor()
    assert.deepEqual(await links.allTextContents(), ['here.example', '<i>b</i>.example'])
    assert.equal(await links.first().getAttribute('aria-current'), 'page')
    await links.nth(1).evaluate(link => link.addEventListener('click', event => event.preventDefault()))
    await links.nth(1).click()
    const address = new URL(await links.nth(1).getAttribute('href'))
    assert.equal(address.host, '127.0.0.1:9741')
    assert.equal(parseOpening(address.hash).tab, 'models')
    assert.equal(parseOpening(address.hash).instances.length, 2)
  })
})

describe('the page with a daemon behind it', needsDaemon, () => {
  let site, page, daemon
  before(async () => {
    site = await openSite()
    daemon = await startDaemon()
  })
  after(async () => {
    await site?.close()
    await daemon?.stop()
  })

  it('shows every tab, approves a peer and previews a revert', async () => {
    const { at } = daemon
    const context = await site.browser.newContext()
    page = await context.newPage()
    const errors = []
    page.on('pageerror', error => errors.push(String(error)))
    page.on('console', message => { if (message.type() === 'error') errors.push(message.text()) })
    await page.goto(`${at.url}/admin/#token=${at.token}`)
    await page.waitForFunction(host => document.title === `${host} · Shoal`, at.host)
    const turn = async tab => {
      await page.evaluate(tab => { location.hash = tab }, tab)
      await rested(page)
      assert.equal(await page.getByRole('button', { name: 'Try again' }).count(), 0, tab)
    }
    for (const tab of TABS) await turn(tab)
    await turn('lookup')
    await page.getByRole('searchbox').fill('title')
    await page.keyboard.press('Enter')
    await page.getByRole('button', { name: /^Look up/ }).first().click()
    await page.locator('.shoal-looked-up > li').nth(9).waitFor()
    await turn('peers')
    const row = host => page.locator(`tbody[data-host="${host}"]`)
    await row(at.asking).getByRole('button', { name: /^Approve/ }).click()
    await page.getByRole('dialog').getByRole('button', { name: /approve$/ }).click()
    await row(at.asking).getByText('approved', { exact: true }).waitFor()
    await turn('settings')
    await page.getByText('Ledger', { exact: true }).click()
    await page.getByText(/signed and in order/).waitFor()
    const newest = page.getByRole('region', { name: 'Ledger' }).locator('.shoal-list > li').first()
    assert.match(await newest.innerText(), new RegExp(`${at.asking}.* was approved as a peer`))
    await turn('peers')
    await row(at.bad).getByRole('button').first().click()
    await row(at.bad).getByRole('button', { name: /^Revert/ }).click()
    await page.getByRole('button', { name: 'Preview' }).click()
    await page.getByRole('textbox', { name: 'Type the host name to confirm' }).fill(at.bad)
    await page.getByRole('button', { name: 'Revert now' }).click()
    await page.getByText(new RegExp(`proof: no stored sum or model names ${at.bad}`)).first().waitFor({ timeout: 60_000 })
    await page.getByRole('region', { name: 'Earlier reverts' }).getByText(at.bad, { exact: true }).first().waitFor()
    assert.deepEqual(errors, [])
  })
})
