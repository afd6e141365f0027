/** What administrators see of instances that peers introduce, and whom they introduce themselves. */
import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'

import { CONTRADICTED, LONG_FOLLOWED, ONLY_INTRODUCED, UNREAD } from '../host/circle.js'
import { Control } from '../host/control.js'
import { adminRoutes } from './answers.js'
import { answer, needsBrowser, openSite } from './browser.js'
import { rested } from './views.js'

const ADMIN = { role: { id: 0, label: 'Administrator' } }

describe('circle', needsBrowser, () => {
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
    page = await site.page()
  })

  const open = async (tab = 'peers') => {
    await page.evaluate(user => window.shell.login(user), ADMIN)
    await page.evaluate(tab => history.replaceState({}, '', `${location.search}#${tab}`), tab)
    await page.evaluate(() => window.shell.open('/', 'shoal'))
    await rested(page)
  }
  const region = name => page.getByRole('region', { name, exact: true })
  const circle = () => region('Introduced instances')
  const tick = host => circle().getByRole('checkbox', { name: host })
  const entry = host => circle().getByRole('listitem').filter({ has: page.getByRole('heading', { name: host }) })
  const dialog = () => page.getByRole('dialog')
  const said = text => page.getByRole('status').filter({ hasText: text }).first().waitFor({ state: 'attached' })
  const orders = () => control.asked.filter(({ method }) => method === 'POST').map(({ path, body }) => [path, body])

  it('shows what stands for each instance, and ticks only those with more than an introduction', async () => {
    await open()
    assert.equal(await tick(LONG_FOLLOWED).isChecked(), true)
    assert.equal(await tick('cape.example').isChecked(), true)
    assert.equal(await tick(ONLY_INTRODUCED).isChecked(), false)
    for (const host of [CONTRADICTED, UNREAD]) {
      assert.equal(await entry(host).getByRole('checkbox').count(), 0, 'there is nothing to tick')
    }
    const text = await entry(LONG_FOLLOWED).innerText()
    assert.match(text, /its domain vouches for it/)
    assert.match(text, /Followed by your instance\s+since /)
    assert.match(text, /Its videos here\s+1,234, since /)
    assert.match(text, /Named by\s+reef\.example/)
    assert.match(await entry(CONTRADICTED).innerText(), /another key[^]*Named with another key by\s+reef\.example/)
    assert.match(await entry(UNREAD).innerText(), /not read yet/)
    assert.match(await circle().innerText(), /Approved already: 1\./)
    assert.match(await circle().innerText(), /reef\.example, until /)
    assert.equal(await circle().getByRole('listitem').filter({ hasText: 'isle.example' }).count(), 0)
    assert.deepEqual(page.errors, [])
  })

  it('approves all that are ticked in one decision, by the keys that were shown', async () => {
    await open()
    const button = circle().getByRole('button', { name: /^Approve/ })
    assert.equal(await button.textContent(), 'Approve 2 instances')
    await tick('cape.example').focus()
    await page.keyboard.press('Space')
    await tick(ONLY_INTRODUCED).click()
    await tick(LONG_FOLLOWED).click()
    assert.equal(await button.textContent(), 'Approve 1 instance')
    const { key } = control.circle.instances.find(({ host }) => host === ONLY_INTRODUCED)
    await button.click()
    await said('1 instance is approved.')
    const left = [LONG_FOLLOWED, 'cape.example']
    assert.deepEqual(orders(), [['circle/approve', { ticked: [{ host: ONLY_INTRODUCED, key }], left }]])
    assert.equal(await tick(ONLY_INTRODUCED).count(), 0)
  })

  it('leaves all of them as well, and says why nothing was done', async () => {
    await open()
    await tick(LONG_FOLLOWED).click()
    await tick('cape.example').click()
    await circle().getByRole('button', { name: 'Leave all as they are' }).click()
    await said('All are left as they are.')
    assert.deepEqual(orders()[0][1].ticked, [])
    assert.equal(control.circle.waits, false)
    site.routes.set('POST admin/v1/control/circle/look', () => (
      answer(403, { code: 'refused', message: 'that is not the key', advice: 'Look again.' })))
    await circle().getByRole('button', { name: 'Read their cards again' }).click()
    await circle().getByRole('alert').filter({ hasText: 'that is not the key' }).waitFor()
  })

  it('is not there while nobody is introduced, and is where a notice leads', async () => {
    await open('overview')
    await region('Waiting for you').getByText(/reef\.example. introduces 3 instances\./).waitFor()
    await page.getByRole('link', { name: 'To the instances' }).click()
    await circle().waitFor()
    control.circle.instances = []
    await open('peers')
    assert.equal(await circle().count(), 0)
    await region('Your peers').waitFor()
  })

  it('marks whoever counts as a stranger', async () => {
    await open()
    const isle = page.getByRole('listitem').filter({ has: page.getByRole('heading', { name: 'isle.example' }) })
    await isle.getByText('counts as a stranger', { exact: true }).waitFor()
    await isle.getByText('About this instance').click()
    assert.match(await isle.innerText(), /Introduced by\s+reef\.example/)
    assert.match(await region('Peers for a sum').innerText(), /Counted as strangers\s+1/)
  })

  it('introduces peers to one another or to one of them, and stops', async () => {
    await open()
    const part = region('Introduce peers')
    assert.match(await part.innerText(), /To .reef\.example.: .delta\.example. and .harbour\.example.\s+taken on /)
    assert.match(await part.innerText(), /not taken yet/)
    await part.getByRole('button', { name: 'Introduce…' }).click()
    await dialog().getByRole('checkbox', { name: 'delta.example' }).uncheck()
    await dialog().getByRole('checkbox', { name: 'harbour.example' }).uncheck()
    await dialog().getByRole('button', { name: 'Introduce them' }).click()
    await dialog().getByRole('alert').filter({ hasText: 'at least two' }).waitFor()
    await dialog().getByRole('checkbox', { name: 'harbour.example' }).check()
    await dialog().getByRole('button', { name: 'Introduce them' }).click()
    await said('The lists are being sent.')
    await part.getByRole('combobox', { name: 'To whom' }).selectOption('reef.example')
    await part.getByRole('button', { name: 'Introduce…' }).click()
    assert.equal(await dialog().getByRole('checkbox').count(), 2)
    await dialog().getByRole('button', { name: 'Cancel' }).click()
    await part.getByRole('button', { name: 'Stop introducing' }).click()
    await said('Nobody is introduced any more.')
    assert.deepEqual(orders(), [
      ['introductions', { to: null, leave_out: ['delta.example'] }], ['introductions', { stop: true }]])
    control.circle.possible = ['reef.example']
    await open()
    await part.getByText('Two approved peers are needed').waitFor()
    assert.deepEqual(page.errors, [])
  })
})
