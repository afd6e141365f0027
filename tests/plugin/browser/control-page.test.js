/** What all tabs of the administrators' page have, and what is behind those that others do not test. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { AWAITING, HELD } from '../host/control.js'
import { answer, DROPPED, needsBrowser } from './browser.js'
import { AT, controlSite } from './control-site.js'
import { TABS, rested, turnTo } from './views.js'

describe('control', needsBrowser, () => {
  const here = controlSite()
  const { open, region, tab, dialog, focused, said, orders } = here
  /** Open what is below the settings. */
  const more = async name => {
    await open('settings')
    await here.page.getByText({ shared: 'Shared', rounds: 'Rounds', ledger: 'Ledger' }[name], { exact: true }).click()
    await rested(here.page)
  }

  it('has tabs that arrow keys move between, and an address for each', async () => {
    await open()
    assert.equal(await tab('Overview').getAttribute('aria-selected'), 'true')
    assert.equal(new URL(here.page.url()).hash, '#overview')
    await tab('Overview').focus()
    await here.page.keyboard.press('ArrowRight')
    assert.equal(await focused(), 'Peers')
    assert.equal(await tab('Peers').getAttribute('aria-selected'), 'false', 'moving opens nothing')
    await here.page.keyboard.press('ArrowLeft')
    await here.page.keyboard.press('ArrowLeft')
    assert.equal(await focused(), 'Settings')
    await here.page.keyboard.press('Home')
    await here.page.keyboard.press('ArrowRight')
    await here.page.keyboard.press('Enter')
    await region('Peers').waitFor()
    assert.equal(new URL(here.page.url()).hash, '#peers')
    assert.equal(await here.page.getByRole('tabpanel').count(), 1)
    assert.equal(await here.page.locator('[role=tab][tabindex="0"]').count(), 1)

    await here.page.evaluate(() => { location.hash = 'models' })
    await region('Models').waitFor()
    await here.page.evaluate(() => { location.hash = 'nothing-of-ours' })
    assert.equal(await tab('Models').getAttribute('aria-selected'), 'true')
    assert.deepEqual(here.page.errors, [])
  })

  it('asks for a tab only when it is opened, and anew when it is opened again', async () => {
    await open('overview')
    const asked = ['effects', 'jobs', 'overview', 'timeline']
    assert.deepEqual(here.control.asked.map(({ path }) => path).sort(), asked)
    await tab('Models').click()
    await region('Models').waitFor()
    const before = here.control.asked.length
    await tab('Overview').click()
    await here.page.waitForFunction(() => !document.querySelector('[aria-busy]'))
    assert.equal(here.control.asked.length, before + asked.length)
  })

  it('shows what leaves: kinds, the next share with each rule, what left, bandwidth', async () => {
    await more('shared')
    await region('Kinds of data that leave').getByText('3 kinds of data').click()
    assert.match(await region('Kinds of data that leave').innerText(), /Counts of viewers\s+How many of your viewers engaged/)
    const next = await region('What would leave next').innerText()
    assert.match(next, /reef\.example, harbour\.example/)
    assert.match(next, /refuses\s+.reef\.example. gets nothing new until Nov 24, 2026\./)
    assert.match(next.replace(/\s+/g, ' '), /Videos asked about 1,402 .*Pairs of videos, at most 982,101 Size, at most 3\.9 MB/)
    const gone = (await region('What left').getByRole('row').allInnerTexts()).map(text => text.replace(/\s+/g, ' '))
    assert.equal(gone.length, 5)
    assert.match(gone[1], /reef\.example .*1,290 1,000 2 MB/)
    assert.match(gone[4], /nobody \(own release\) – 1,293 0 2 MB/)
    const month = await region('Bandwidth by month and peer').getByRole('row').nth(1).innerText()
    assert.equal(month.replace(/\s+/g, ' '), '2026-11 reef.example 7.4 MB 512.3 kB')
    assert.doesNotMatch(next, /Summed with/)

    const share = here.control.share()
    Object.assign(share.next, { group: 'coast', drawn: 'epoch', aggregators: ['reef.example'], members: ['here.example', 'lagoon.example'] })
    here.site.routes.set(`GET ${AT}share`, () => share)
    await tab('Overview').click()
    await tab('Settings').click()
    const row = region('What would leave next').locator('.shoal-facts > div').filter({ hasText: 'Summed with' })
    await row.waitFor()
    assert.match(await row.innerText(), /here\.example, lagoon\.example/)
  })

  it('shows rounds, more of them on demand, and which sub-cohorts were suspect', async () => {
    await more('rounds')
    const entries = region('Rounds').locator('.shoal-list > li')
    assert.equal(await entries.count(), 30)
    assert.match(await entries.nth(3).innerText(), /Sum for .?reef\.example.?\s*to be resumed/)
    assert.match(await entries.nth(4).innerText(), /^Sum of our group/)
    assert.match(await entries.nth(5).innerText(), /^What the other members gave, in the group of reef\.example/)
    assert.doesNotMatch(await entries.nth(5).innerText(), /received/)
    assert.match(await entries.nth(7).innerText(), /^Sum of the group of reef\.example/)
    assert.match(await entries.nth(2).innerText(), /abandoned[^]*Fewer than 4 members answered/)
    await region('Rounds').getByRole('button', { name: 'Show more' }).press('Enter')
    await entries.nth(32).waitFor()
    assert.equal(await region('Rounds').getByRole('button', { name: 'Show more' }).isVisible(), false)
    const suspects = await region('When something went wrong').innerText()
    assert.match(suspects, /Without sub-cohort .2. the sum passes/)
    assert.match(suspects, /quarantined\s+spam\.example, cove\.example/)
  })

  it('shows a model to the administrator before it serves', async () => {
    await open('models')
    const waiting = region('Waiting for your decision').locator('.shoal-cards > li')
    assert.equal(await waiting.count(), 2)
    const report = await waiting.first().innerText()
    assert.match(report, /passed\s+Compared with the local model, no video gains too much/)
    assert.match(report, /could not be checked\s+Could not be checked: how well own viewers/)
    assert.match(report, /Compared with the local model, .* goes from 0\.4% to 2% of the lists/)
    assert.match(report, /news@reef\.example\s+0\.4%\s+2\.0%/)
    assert.match(report, /Who is behind it\s+Members\s+reef\.example, harbour\.example, lagoon\.example/)
    await waiting.first().getByRole('button', { name: 'Let it serve' }).click()
    await dialog().getByRole('button', { name: 'Let it serve' }).click()
    await said('The model is in service.')
    assert.match(await focused(), new RegExp(AWAITING))

    const held = region('Waiting for your decision').locator('.shoal-cards > li').first()
    await held.getByRole('button', { name: 'Let it serve' }).click()
    assert.match(await dialog().textContent(), /somebody may be steering/)
    await dialog().getByRole('button', { name: 'Cancel' }).click()
    await held.getByRole('button', { name: 'Reject' }).click()
    await dialog().getByRole('button', { name: 'Reject' }).click()
    await said('The model was rejected.')
    assert.deepEqual(orders(), [[`models/${AWAITING}/accept`, {}], [`models/${HELD}/reject`, {}]])
    assert.equal(await region('Waiting for your decision').count(), 0)
  })

  it('shows the ledger, newest first, page by page, and whether it is in order', async () => {
    await more('ledger')
    const entries = region('Ledger').locator('.shoal-list > li')
    await region('Ledger').getByText('60 entries, signed and in order.').waitFor()
    assert.match(await entries.first().innerText(), /of-tomorrow[^]*60 · /)
    assert.equal(await entries.count(), 25)
    await region('Ledger').getByRole('button', { name: 'Show older' }).press('Enter')
    await here.page.waitForFunction(() => document.activeElement?.textContent.includes('35 · '))
    await region('Ledger').getByRole('button', { name: 'Show older' }).click()
    await entries.nth(59).waitFor()
    assert.equal(await region('Ledger').getByRole('button', { name: 'Show older' }).isVisible(), false)
    const numbers = (await entries.locator('summary').allTextContents()).map(text => parseInt(text, 10))
    assert.deepEqual(numbers, Array.from({ length: 60 }, (_, i) => 60 - i))
    await entries.nth(2).locator('summary').click()
    assert.match(await entries.nth(2).locator('pre').innerText(), /"max_users": 500/)

    here.site.routes.set(`GET ${AT}ledger`, ({ query }) => ({ ...here.control.answer({ method: 'GET', path: 'ledger', query }).body, newest: 40, verified: false, problem: 'Entry 41 does not follow from entry 40.' }))
    await tab('Overview').click()
    await tab('Settings').click()
    await region('Ledger').getByText('Entry 41 does not follow from entry 40.').waitFor()
    assert.match(await entries.first().innerText(), /60 · /, 'also what is not in order can be read')
  })

  it('says of each tab what to do when it does not load, and tries again', async () => {
    const failures = [[DROPPED, 'Check your connection'], [answer(502, { code: 'daemon-away', message: 'x', advice: 'y' }), 'Start it, then try again'],
      [answer(504, { code: 'daemon-slow', message: 'x', advice: 'y' }), 'look again in a minute'],
      [answer(502, { code: 'admin-refused', message: 'the secret is another one', advice: 'Copy it.' }), 'The daemon says: the secret is another one. Copy it.'],
      [answer(403, { error: 'no' }), 'not allowed'], [answer(200, 'no JSON'), 'does not understand'], [answer(200, { peers: 7 }), 'does not understand']]
    await open('settings')
    for (const [failure, expected] of failures) {
      here.site.routes.set(`GET ${AT}peers`, () => failure)
      await tab('Peers').click()
      await here.page.getByRole('tabpanel').getByRole('alert').filter({ hasText: expected }).first().waitFor()
    }
    here.site.routes.delete(`GET ${AT}peers`)
    await here.page.getByRole('button', { name: 'Try again' }).first().click()
    await region('Peers').waitFor()
    for (const name of TABS) {
      here.site.routes.set(`GET ${AT}${{ lookup: 'videos' }[name] ?? name}`, () => ({}))
      await here.page.evaluate(name => { location.hash = name }, name)
      if (name === 'lookup') {
        await here.page.getByRole('searchbox').fill('x')
        await here.page.keyboard.press('Enter')
      }
      await here.page.waitForFunction(() => !document.querySelector('[aria-busy]'))
      assert.equal(await here.page.getByRole('tabpanel').count(), 1, name)
    }
    assert.deepEqual(here.page.errors.filter(error => !error.startsWith('Shoal:')), [])
  })

  it('shows what others wrote as text, whatever it is', async () => {
    const structure = new Set(['kind', 'state', 'theirs', 'source', 'mode', 'role', 'outcome', 'verdict', 'basis', 'against', 'month', 'approved', 'voucher', 'link', 'hosting', 'drawn', 'peer', 'job', 'what', 'level', 'host', 'of', 'to', 'key', 'origin', 'value'])
    const bad = ['<img src=x onerror="window.pwned=1">', 'javascript:window.pwned=1', '"><svg onload=window.pwned=1>', '\u202Egnp.exe{count}', '{subject}${7*7}']
    let turn = 0
    const spoil = (value, name) => {
      if (Array.isArray(value)) return value.map(item => spoil(item, name))
      if (value && typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, spoil(item, key)]))
      return typeof value === 'string' && !structure.has(name) ? `${bad[turn++ % bad.length]}` : value
    }
    here.control.group.isMember()
    here.site.control = { answer: asked => ({ status: 200, body: spoil(here.control.answer(asked).body, '') }) }
    await open('overview')
    for (const name of TABS.filter(name => name !== 'peers')) await turnTo(here.page, name)
    await here.page.evaluate(() => { location.hash = 'peers' })
    await rested(here.page)
    await here.page.evaluate(() => { for (const closed of document.querySelectorAll('.shoal-expand[aria-expanded=false]')) closed.click() })
    await here.page.getByRole('button', { name: /^Words and limit/ }).first().click()
    await dialog().getByRole('button', { name: 'Cancel' }).click()
    await here.page.getByRole('button', { name: /^Revert/ }).first().click()
    await here.page.getByRole('button', { name: 'Preview' }).click()
    await here.page.getByRole('heading', { name: /^Preview: reverting/ }).waitFor()
    await here.page.evaluate(() => new Promise(resolve => { setTimeout(resolve, 100) }))

    const found = await here.page.evaluate(() => ({
      pwned: window.pwned,
      elements: [...document.querySelectorAll('.shoal-page :is(img, script, iframe, svg[onload], [onerror], [onload], [style])')].map(element => element.tagName),
      links: [...document.querySelectorAll('.shoal-page a')].map(link => link.protocol).filter(protocol => !/^https?:$/.test(protocol)),
      turned: document.querySelector('.shoal-page').textContent.includes('\u202E'),
      shown: document.querySelector('.shoal-page').textContent.includes('<img src=x onerror="window.pwned=1">')
    }))
    assert.deepEqual(found, { pwned: undefined, elements: [], links: [], turned: false, shown: true })
    assert.deepEqual(here.page.errors, [])
  })
})
