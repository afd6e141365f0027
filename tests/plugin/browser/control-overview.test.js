/** The first tab of the administrators' page: what waits, how it stands, what happened. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { ASKING, HELD } from '../host/control.js'
import { needsBrowser } from './browser.js'
import { AT, controlSite } from './control-site.js'

describe('overview', needsBrowser, () => {
  const here = controlSite()
  const { open, region, tab, peer } = here

  it('says what waits, with a way to it', async () => {
    await open()
    const waiting = await region('Waiting for you').getByRole('listitem').allTextContents()
    assert.equal(waiting.length, 9)
    assert.match(waiting[0], /^to look at.*learnt with .*reef\.example.* is ready and awaits your.*Read its report/)
    assert.match(waiting[7], /^database lost.*Every peer is paused.*the peers that you trust again\.To the peers$/)
    assert.match(waiting[8], /^notice.*Something new\..*Do something new\..$/)
    await region('Waiting for you').getByRole('listitem').filter({ hasText: 'peer request' }).getByRole('link').press('Enter')
    await here.page.waitForFunction(host => document.activeElement?.textContent.startsWith(host), ASKING)
    assert.equal(await peer(ASKING).getByRole('button', { name: /^Approve/ }).isVisible(), true)
    assert.equal(await tab('Peers').getAttribute('aria-selected'), 'true')

    await tab('Overview').click()
    await region('Waiting for you').getByRole('listitem').filter({ hasText: 'quarantined' }).getByRole('link').click()
    await here.page.waitForFunction(id => document.activeElement?.textContent.includes(id), HELD)
    assert.match(await region('Waiting for your decision').textContent(), /the instance .spam\.example. goes from 0% to 9\.1% of the lists: too much at once/)
    assert.deepEqual(here.page.errors, [])
  })

  it('says how the instance stands', async () => {
    await open()
    const text = await region('How this instance stands').innerText()
    assert.match(text, /Default: noise hides single viewers/)
    assert.match(text, /Sync\s+Nov \d+, 2026, \d+:00.[AP]M Every .6h./)
    assert.match(text, /Round\s+no date 1 of 4 approvals is missing/)
    assert.match(text, /its viewers are counted in theirs/)
    assert.match(text, /First shared suggestions/)
    assert.match(text, /About Nov 26, 2026\. As soon as somebody decides\./)
    assert.match(text, /60 of 340 videos are old enough on Nov 26, 2026\./)
    assert.match(text, /1 of 4 approvals is missing\. Not yet given by .delta\.example.\./)
    assert.match(text, /Learnt with others · since Nov 1, 2026 · videos: 1,430/)
    assert.equal(await region('How this instance stands').locator('.shoal-words li').count(), 8)
  })

  it('shows two numbers, each with its interval, and says what they tell', async () => {
    await open()
    const text = await region('Quality alone and with others').innerText()
    assert.match(text, /alone\s+0\.151\s+0\.139 to 0\.163 in 95 of 100 cases/)
    assert.match(text, /with others\s+0\.187\s+0\.171 to 0\.203/)
    assert.match(text, /With others, lists are better than alone/)
    const overview = here.control.overview()
    const said = async (measured, expected) => {
      here.site.routes.set(`GET ${AT}overview`, () => ({ ...overview, measured }))
      await tab('Overview').click()
      await region('Quality alone and with others').getByText(expected).waitFor()
    }
    const { alone, together } = overview.measured
    await said({ ...overview.measured, together: { ...together, low: 0.15 } }, 'no difference can be told')
    await said({ ...overview.measured, alone: together, together: alone }, 'worse than alone')
    await said({ ...overview.measured, alone: { ...alone, low: null, high: null } }, 'measured before intervals were')
    const few = { code: 'unmeasuredFew', params: { count: 1214, least: 300 } }
    await said({ alone: null, alone_why: few, together: null, together_why: { code: 'unmeasuredAlone', params: {} } }, 'about 1,214 viewers take part')
    await region('Quality alone and with others').getByText('No model has been learnt with others yet.').waitFor()
    assert.deepEqual(here.page.errors, [])
  })

  it('draws a year, tells what the pointer is at, and has the same as a table', async () => {
    await open()
    const past = region('The past year').first()
    const { own, peers } = here.control.answer({ method: 'GET', path: 'timeline' }).body
    const total = own.length + peers.reduce((sum, { events }) => sum + events.length, 0)
    const picture = past.getByRole('img')
    const described = await picture.evaluate(svg => svg.querySelector('desc').textContent)
    assert.equal(described, `${total} events, on a line for this instance and one for each of 7 peers.`)
    const drawn = await picture.locator('.shoal-at').evaluateAll(paths => paths.map(path => path.getAttribute('d').match(/M/g).length))
    assert.equal(drawn.reduce((sum, marks) => sum + marks, 0), total)
    const { width } = await picture.boundingBox()
    await picture.hover({ position: { x: width - 13, y: 33 } })
    await past.getByText('cove.example · round under way').waitFor()
    await past.getByText('The numbers as a table').click()
    await past.getByRole('row').first().waitFor()
    assert.equal(await past.getByRole('row').count(), 26)
    await past.getByRole('searchbox').fill('revert')
    assert.equal(await past.getByRole('row').count(), 2)
    await past.getByRole('searchbox').fill('nothing like it')
    await past.getByText('Nothing found.').waitFor()
    assert.deepEqual(here.page.errors, [])
  })

  it('shows how many viewers take part, and what to do while nobody does', async () => {
    await open()
    const part = region('Viewers who take part')
    const { viewers } = here.control.answer({ method: 'GET', path: 'timeline' }).body
    await part.locator('strong').getByText(`${viewers.at(-1).viewers} now.`).waitFor()
    await part.getByText('The numbers as a table').click()
    await part.getByText('1–25 of 200', { exact: true }).waitFor()
    await part.getByRole('button', { name: 'Next' }).click()
    assert.match(await part.getByRole('status').innerText(), /^26–50 of 200$/)
    const empty = { since: 0, until: 1, own: [], peers: [], viewers: [{ day: 0, viewers: 0 }] }
    here.site.routes.set(`GET ${AT}timeline`, () => empty)
    await tab('Overview').click()
    await part.getByText('Nobody takes part yet.').waitFor()
    await region('The past year').getByText('A first sync, then a training, begin it').waitFor()
    await part.getByRole('link').click()
    assert.equal(await tab('Settings').getAttribute('aria-selected'), 'true')
    assert.deepEqual(here.page.errors, [])
  })

  it('says of each job how it stands, and of a failed one what to do', async () => {
    await open()
    const rows = (await region('Jobs').getByRole('row').allInnerTexts()).map(text => text.replace(/\s+/g, ' '))
    assert.match(rows[1], /^Sync with PeerTube done Nov/)
    assert.match(rows[2], /^Training running since Nov/)
    assert.match(rows[3], /^Round failed only 3 of 5 members answered It is tried again by itself\./)
    assert.match(rows[4], /^Check of withdrawals waits never Nov/)
    assert.match(rows[6], /^of-tomorrow done/)
    here.site.routes.set(`GET ${AT}jobs`, () => ({ alive: false, jobs: [] }))
    await tab('Overview').click()
    await region('Jobs').getByText('No job has run yet.').waitFor()
    await region('Jobs').getByText('No daemon runs these jobs now.').waitFor()
  })

  it('compares clicks on suggestions with PeerTube\'s own order, or says why it cannot', async () => {
    await open()
    const part = region('What suggestions achieved')
    assert.match(await part.innerText(), /Suggestions\s+86\.4\s+77\.7 to 95\.9 .*clicks: 812 · pages: 9,400/)
    await part.getByText('Week by week').click()
    // Beside another part it is a list, which has no head.
    assert.equal(await part.getByRole('row').count(), 20)
    here.site.routes.set(`GET ${AT}effects`, () => ({ weeks: [], comparison: null, why: { code: 'effectsNotYet', params: {} } }))
    await tab('Overview').click()
    await part.getByText('Nothing has been counted yet').waitFor()
  })
})
