/** The group on the administrators' page: in none, as a member, as its host. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { WISHES } from '../host/group.js'
import { key as storyKey } from '../host/story.js'
import { answer, needsBrowser } from './browser.js'
import { controlSite } from './control-site.js'

describe('group', needsBrowser, () => {
  const here = controlSite()
  const { region, dialog, said, orders } = here
  /** Open the part about groups. */
  const open = async () => {
    await here.open('peers')
    await part().evaluate(box => { box.open = true })
  }
  /** Look at it anew. */
  const again = async () => {
    await here.page.evaluate(() => { location.hash = 'overview' })
    await here.page.evaluate(() => { location.hash = 'peers' })
  }
  const part = () => region('Group').locator('details').first()
  const member = host => region('Members of the group').getByRole('listitem').filter({ hasText: host }).first()
  const key = host => here.control.group.members.find(one => one.host === host).key

  it('says what a group is, and lets a keyboard join one by its invitation', async () => {
    await open()
    assert.match(await region('In a group').innerText(), /depends on nobody; while this instance is in a group/)
    const field = region('Join a group').getByRole('textbox')
    await field.fill('not one')
    await here.page.keyboard.press('Enter')
    await here.page.getByRole('alert').filter({ hasText: 'Paste the invitation' }).waitFor()
    assert.deepEqual(orders(), [])
    await field.fill('  shoal group join https://reef.example/plugins/shoal/router  --group coast ')
    await here.page.keyboard.press('Enter')
    await dialog().waitFor()
    assert.match(await dialog().getByRole('heading').innerText(), /^Join .coast., hosted by .reef\.example.\?$/)
    assert.equal(await dialog().getByRole('list', { name: 'Words of its key' }).getByRole('listitem').count(), 8)
    assert.match(await dialog().innerText(), /Its domain vouches.*3 members.*nobody else/s)
    await here.page.keyboard.press('Escape')
    await dialog().waitFor({ state: 'detached' })
    const wanted = { url: 'https://reef.example/plugins/shoal/router', group: 'coast' }
    assert.deepEqual(orders(), [['group/look', wanted]])
    await here.page.waitForFunction(() => !document.querySelector('[aria-disabled=true]'))
    await here.page.keyboard.press('Enter')
    await dialog().getByRole('button', { name: 'The words are the same: join' }).press('Enter')
    await said('The administrators of ⁨reef.example⁩ have been asked')
    assert.deepEqual(orders().at(-1), ['group/join', { ...wanted, key: storyKey(1) }])
    assert.match(await region('Group ⁨coast⁩').innerText(), /asked to join.*have to let this instance in/s)
    await here.page.getByRole('button', { name: 'Withdraw the request…' }).click()
    await dialog().getByRole('button', { name: 'Leave' }).click()
    await said('not in the group any more')
    await region('Join a group').waitFor()
    assert.deepEqual(here.page.errors, [])
  })

  it('says until when its sums leave this instance out, because of whom, and what to do', async () => {
    here.control.group.waits({ rejected_by: ['harbour.example'], rejects: ['lagoon.example', 'delta.example'] })
    await open()
    const standing = await region('Group ⁨coast⁩').innerText()
    assert.match(standing, /until .*harbour\.example.*, in the group for longer, have not approved this instance/)
    assert.match(standing, /Left out of sums until .* You have not approved .*lagoon\.example.* and .*delta\.example/)
    assert.match(standing, /Summed with\s+nobody for now/)
    assert.match(await member('here.example').innerText(), /left out for now/)
    here.control.group.waits({ too_many: true })
    await open()
    await here.page.getByText('More than a third of the instances it would be summed with').waitFor()
    here.control.group.waits({ until: null })
    await open()
    await here.page.getByText('Left out of the next sum').waitFor()
  })

  it('shows a member how it stands, and approves others by their words', async () => {
    here.control.group.isMember()
    await open()
    const standing = await region('Group ⁨coast⁩').innerText()
    assert.match(standing, /You have not approved .*lagoon\.example.* and .*delta\.example/)
    assert.match(standing, /9 instances: sub-cohort 1 of 2/)
    assert.match(standing, /2 of 3, the host not counted; 4 needed/)
    assert.equal(await region('Group ⁨coast⁩').getByRole('list', { name: 'Newest sum' }).getByRole('listitem').count(), 8)
    assert.equal(await member('spam.example').getByRole('button').count(), 0, 'another key is looked at elsewhere')

    await member('lagoon.example').getByRole('button', { name: /^Approve/ }).press('Enter')
    await dialog().getByText('could not be asked').waitFor()
    await dialog().getByRole('button', { name: 'approve' }).click()
    await said('is approved')
    const [[look, whose], [order, { members }]] = orders()
    assert.deepEqual([look, whose, order, members[0].host], ['group/key', { host: 'lagoon.example' }, 'group/approve', 'lagoon.example'])
    assert.equal(await here.page.evaluate(() => document.activeElement?.textContent.startsWith('lagoon.example')), true)

    here.control.group.members.push({ ...here.control.group.members[3], host: 'bay.example', approved: 'no' })
    here.control.group.liars.push('bay.example')
    await again()
    await region('Members of the group').getByText('bay.example').waitFor()
    await here.page.getByRole('button', { name: 'Approve all…' }).click()
    assert.deepEqual(await dialog().locator('strong').allTextContents(), ['delta.example', 'bay.example'], 'not whom one decided against')
    await dialog().getByRole('button', { name: 'Approve all' }).click()
    await said('1 member was approved.')
    assert.deepEqual(orders().at(-1)[1].members, ['delta.example', 'bay.example'].map(host => ({ host, key: key(host) })))
    await region('Members of the group').getByRole('alert').filter({ hasText: 'Not approved: ⁨bay.example⁩. bay.example shows another key now.' }).waitFor()
    assert.deepEqual(here.page.errors, [])
  })

  it('says on the overview through which group this instance learns', async () => {
    here.control.group.isMember()
    await here.open('overview')
    const standing = region('How this instance stands')
    assert.match(await standing.innerText(), /Group\s+coast \(reef\.example\)/)
    assert.doesNotMatch(await standing.innerText(), /Peers for a sum/)
    await standing.getByRole('link', { name: 'To the group' }).press('Enter')
    await region('Members of the group').waitFor()
  })

  it('lets a host invite, let in, refuse, take out, announce and close', async () => {
    await here.page.context().grantPermissions(['clipboard-read', 'clipboard-write'])
    await open()
    await region('Host a group').getByRole('textbox').fill('Coast!')
    await here.page.keyboard.press('Enter')
    await here.page.getByRole('alert').filter({ hasText: 'small letters' }).waitFor()
    await region('Host a group').getByRole('textbox').fill('films')
    await here.page.keyboard.press('Enter')
    await region('Invite others').getByRole('button', { name: 'Copy' }).click()
    await said('Copied.')
    assert.equal(await here.page.evaluate(() => navigator.clipboard.readText()), 'shoal group join https://here.example --group films')
    assert.match(await region('Announce a round').innerText(), /needs 5 members/)

    here.control.group.hosts()
    await again()
    await region('Requests to join').getByText(WISHES[0]).waitFor()
    const wish = host => region('Requests to join').getByRole('listitem').filter({ hasText: host })
    await wish(WISHES[0]).getByRole('button', { name: /^Let in/ }).click()
    await dialog().getByText('Its domain vouches').waitFor()
    await dialog().getByRole('button', { name: 'let in' }).click()
    await said('is a member')
    await wish(WISHES[1]).getByRole('button', { name: /^Refuse/ }).click()
    await dialog().getByRole('button', { name: 'Refuse' }).click()
    await region('Requests to join').getByText('Nobody asks').waitFor()
    await region('Let an instance in before it asks').getByRole('textbox').fill('https://new.example/')
    await here.page.keyboard.press('Enter')
    await dialog().getByRole('button', { name: 'invite' }).click()
    await said('is invited')
    await member('delta.example').getByRole('button', { name: /^Take out/ }).click()
    await dialog().getByRole('button', { name: 'Take out' }).click()
    await said('is out of the group')
    const when = region('Announce a round').getByLabel('When', { exact: true })
    await when.fill('2027-03-01T20:00')
    await region('Announce a round').getByRole('button', { name: 'Announce' }).click()
    await said('Announced for Mar 1, 2027')
    const at = await here.page.evaluate(() => new Date('2027-03-01T20:00').getTime() / 1000)
    await here.page.getByRole('button', { name: 'Close the group…' }).click()
    await dialog().getByRole('button', { name: 'Close' }).click()
    await said('The group is closed.')
    const path = (host, what) => `group/members/${host}/${what}`
    assert.deepEqual(orders().map(([path, body]) => [path, body.host ?? body.name ?? body.at]), [
      ['group/host', 'films'], ['group/key', WISHES[0]], [path(WISHES[0], 'admit'), undefined], [path(WISHES[1], 'refuse'), undefined],
      ['group/key', 'https://new.example/'], ['group/invite', 'new.example'], [path('delta.example', 'eject'), undefined], ['group/start', at], ['group/close', undefined]
    ])
    assert.deepEqual(here.page.errors, [])
  })

  it('says what the daemon says, and whatever state it is in', async () => {
    here.site.routes.set('POST admin/v1/control/group/look', () => answer(502, { code: 'group-host-silent', message: 'reef.example cannot be reached', advice: 'Try again later.' }))
    await open()
    await region('Join a group').getByRole('textbox').fill('reef.example')
    await here.page.keyboard.press('Enter')
    await here.page.getByRole('alert').filter({ hasText: 'The daemon says: reef.example cannot be reached. Try again later.' }).waitFor()
    for (const [state, text] of [['refused', 'did not let this instance in'], ['ejected', 'took this instance out'], ['left', 'has not been told']]) {
      here.control.group.isMember(state)
      await again()
      await region('Group ⁨coast⁩').getByText(text).waitFor()
      await region('Join a group').waitFor()
    }
    here.control.group.isMember()
    Object.assign(here.control.group.membership, { problem: 'the host is not ready for sums yet', next_at: 1e10, connected: true, gives: false })
    await again()
    await region('Group ⁨coast⁩').getByText('The host is not ready for sums yet.').waitFor()
    assert.match(await region('Group ⁨coast⁩').innerText(), /Next round\s+Nov 20, 2286.*Connected to the host\s+yes.*Summed with\s+nobody: this instance only learns/s)
  })
})
