/** What administrators see of instances that peers introduce, and whom they introduce themselves. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { CONTRADICTED, LONG_FOLLOWED, ONLY_INTRODUCED, UNREAD } from '../host/circle.js'
import { answer, needsBrowser } from './browser.js'
import { controlSite } from './control-site.js'

describe('circle', needsBrowser, () => {
  const here = controlSite()
  const { open, region, dialog, said, orders } = here
  const circle = () => region('Introduced instances')
  const tick = host => circle().getByRole('checkbox', { name: host })
  const entry = host => circle().getByRole('listitem').filter({ has: here.page.getByRole('heading', { name: host }) })

  it('shows what stands for each instance, and ticks only those with more than an introduction', async () => {
    await open('peers')
    assert.equal(await tick(LONG_FOLLOWED).isChecked(), true)
    assert.equal(await tick('cape.example').isChecked(), true)
    assert.equal(await tick(ONLY_INTRODUCED).isChecked(), false)
    for (const host of [CONTRADICTED, UNREAD]) {
      assert.equal(await entry(host).getByRole('checkbox').count(), 0, 'there is nothing to tick')
    }
    await entry(LONG_FOLLOWED).getByText('What stands for it').click()
    const text = await entry(LONG_FOLLOWED).innerText()
    assert.match(text, /its domain vouches for it/)
    assert.match(text, /Followed by your instance\s+since /)
    assert.match(text, /Its videos here\s+1,234, since /)
    assert.match(text, /Named by\s+reef\.example/)
    await entry(CONTRADICTED).getByText('What stands for it').click()
    assert.match(await entry(CONTRADICTED).innerText(), /another key[^]*Named with another key by\s+reef\.example/)
    await entry(UNREAD).getByText('What stands for it').click()
    assert.match(await entry(UNREAD).innerText(), /not read yet/)
    assert.match(await circle().innerText(), /Approved already: 1\./)
    assert.match(await circle().innerText(), /reef\.example, until /)
    assert.equal(await circle().getByRole('listitem').filter({ hasText: 'isle.example' }).count(), 0)
    assert.deepEqual(here.page.errors, [])
  })

  it('approves all that are ticked in one decision, by the keys that were shown', async () => {
    await open('peers')
    const button = circle().getByRole('button', { name: /^Approve/ })
    assert.equal(await button.textContent(), 'Approve 2 instances')
    await tick('cape.example').focus()
    await here.page.keyboard.press('Space')
    await tick(ONLY_INTRODUCED).click()
    await tick(LONG_FOLLOWED).click()
    assert.equal(await button.textContent(), 'Approve 1 instance')
    const { key } = here.control.circle.instances.find(({ host }) => host === ONLY_INTRODUCED)
    await button.click()
    await said('1 instance is approved.')
    const left = [LONG_FOLLOWED, 'cape.example']
    assert.deepEqual(orders(), [['circle/approve', { ticked: [{ host: ONLY_INTRODUCED, key }], left }]])
    assert.equal(await tick(ONLY_INTRODUCED).count(), 0)
  })

  it('leaves all of them as well, and says why nothing was done', async () => {
    await open('peers')
    await tick(LONG_FOLLOWED).click()
    await tick('cape.example').click()
    await circle().getByRole('button', { name: 'Leave all as they are' }).click()
    await said('All are left as they are.')
    assert.deepEqual(orders()[0][1].ticked, [])
    assert.equal(here.control.circle.waits, false)
    here.site.routes.set('POST admin/v1/control/circle/look', () => (
      answer(403, { code: 'refused', message: 'that is not the key', advice: 'Look again.' })))
    await circle().getByRole('button', { name: 'Read their cards again' }).click()
    await circle().getByRole('alert').filter({ hasText: 'that is not the key' }).waitFor()
  })

  it('is not there while nobody is introduced, and is where a notice leads', async () => {
    await open('overview')
    await region('Waiting for you').getByText(/reef\.example. introduces 3 instances\./).waitFor()
    await here.page.getByRole('link', { name: 'To the instances' }).click()
    await circle().waitFor()
    here.control.circle.instances = []
    await open('peers')
    assert.equal(await circle().count(), 0)
    await region('Peers').waitFor()
  })

  it('marks whoever counts as a stranger', async () => {
    await open('peers')
    const isle = await here.opened('isle.example')
    await isle.getByText('counts as a stranger', { exact: true }).waitFor()
    await isle.getByText('About this instance').click()
    assert.match(await isle.innerText(), /Introduced by\s+reef\.example/)
    assert.match(await region('Peers for a sum').innerText(), /Counted as strangers\s+1/)
  })

  it('introduces peers to one another or to one of them, and stops', async () => {
    await open('peers')
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
    here.control.circle.possible = ['reef.example']
    await open('peers')
    await part.getByText('Two approved peers are needed').waitFor()
    assert.deepEqual(here.page.errors, [])
  })
})
