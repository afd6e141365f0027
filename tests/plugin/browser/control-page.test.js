/** What administrators see of the daemon, and what they decide there. */
import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'

import { ASKING, AWAITING, BAD, Control, HELD } from '../host/control.js'
import { adminRoutes } from './answers.js'
import { answer, DROPPED, needsBrowser, openSite } from './browser.js'
import { TABS, rested, turnTo } from './views.js'

const ADMIN = { role: { id: 0, label: 'Administrator' } }
const AT = 'admin/v1/control/'

describe('control', needsBrowser, () => {
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

  const open = async (tab = '') => {
    await page.evaluate(user => window.shell.login(user), ADMIN)
    await page.evaluate(tab => history.replaceState({}, '', `${location.search}#${tab}`), tab)
    await page.evaluate(() => window.shell.open('/', 'shoal'))
    await rested(page)
  }
  const region = name => page.getByRole('region', { name, exact: true })
  const tab = name => page.getByRole('tab', { name })
  const peer = host => page.getByRole('listitem').filter({ has: page.getByRole('heading', { name: host }) })
  const dialog = () => page.getByRole('dialog')
  const focused = () => page.evaluate(() => document.activeElement?.textContent)
  const said = text => page.getByRole('status').filter({ hasText: text }).first().waitFor({ state: 'attached' })
  const orders = () => control.asked.filter(({ method }) => method === 'POST').map(({ path, body }) => [path, body])

  it('has tabs that arrow keys move between, and an address for each', async () => {
    await open()
    assert.equal(await tab('Overview').getAttribute('aria-selected'), 'true')
    assert.equal(new URL(page.url()).hash, '#overview')
    await tab('Overview').focus()
    await page.keyboard.press('ArrowRight')
    assert.equal(await focused(), 'Peers')
    assert.equal(await tab('Peers').getAttribute('aria-selected'), 'false', 'moving opens nothing')
    await page.keyboard.press('ArrowLeft')
    await page.keyboard.press('ArrowLeft')
    assert.equal(await focused(), 'Plugin')
    await page.keyboard.press('Home')
    await page.keyboard.press('ArrowRight')
    await page.keyboard.press('Enter')
    await region('Your peers').waitFor()
    assert.equal(new URL(page.url()).hash, '#peers')
    assert.equal(await page.getByRole('tabpanel').count(), 1)
    assert.equal(await page.locator('[role=tab][tabindex="0"]').count(), 1)

    await page.evaluate(() => { location.hash = 'ledger' })
    await region('Ledger').waitFor()
    await page.evaluate(() => { location.hash = 'nothing-of-ours' })
    assert.equal(await tab('Ledger').getAttribute('aria-selected'), 'true')
    assert.deepEqual(page.errors, [])
  })

  it('asks for a tab only when it is opened, and anew when it is opened again', async () => {
    await open('overview')
    assert.deepEqual([...new Set(control.asked.map(({ path }) => path))], ['overview'])
    await tab('Models').click()
    await region('Models').waitFor()
    const before = control.asked.length
    await tab('Overview').click()
    await page.waitForFunction(() => !document.querySelector('[aria-busy]'))
    assert.equal(control.asked.length, before + 1)
  })

  it('says what waits, with a way to it', async () => {
    await open()
    const waiting = await region('Waiting for you').getByRole('listitem').allTextContents()
    assert.equal(waiting.length, 9)
    assert.match(waiting[0], /^to look at.*learnt with .*reef\.example.* is ready and awaits your.*Read its report/)
    assert.match(waiting[7], /^database lost.*Every peer is paused.*the peers that you trust again\.To the peers$/)
    assert.match(waiting[8], /^notice.*Something new\.Do something new\.$/)
    await region('Waiting for you').getByRole('listitem').filter({ hasText: 'peer request' }).getByRole('link').press('Enter')
    await page.waitForFunction(host => document.activeElement?.textContent.startsWith(host), ASKING)
    assert.equal(await tab('Peers').getAttribute('aria-selected'), 'true')

    await tab('Overview').click()
    await region('Waiting for you').getByRole('listitem').filter({ hasText: 'quarantined' }).getByRole('link').click()
    await page.waitForFunction(id => document.activeElement?.textContent.includes(id), HELD)
    assert.match(await region('Waiting for your decision').textContent(), /the instance .spam\.example. goes from 0% to 9\.1% of the lists: too much at once/)
    assert.deepEqual(page.errors, [])
  })

  it('says how the instance stands', async () => {
    await open()
    const text = await region('How this instance stands').innerText()
    assert.match(text, /here\.example/)
    assert.match(text, /its viewers are counted in theirs/)
    assert.match(text, /First shared suggestions/)
    assert.match(text, /About Nov 26, 2026\. As soon as somebody decides\./)
    assert.match(text, /60 of 340 videos are old enough on Nov 26, 2026\./)
    assert.match(text, /1 of 4 approvals is missing\. Not yet given by .delta\.example.\./)
    assert.match(text, /Learnt with others · since Nov 1, 2026 · videos: 1,430/)
    assert.equal(await region('How this instance stands').locator('.shoal-words li').count(), 8)
  })

  it('draws quality over time, and says the same in words and as a table', async () => {
    await open()
    const chart = region('Quality over time').getByRole('img')
    await chart.waitFor()
    const name = await chart.evaluate(svg => (
      svg.getAttribute('aria-labelledby').split(' ').map(id => document.getElementById(id).textContent)))
    assert.equal(name[0], 'Quality over time')
    assert.match(name[1], /^Learnt alone: from 0\.121 to 0\.151\. Learnt with others: from 0\.155 to 0\.187\.$/)
    const lines = await chart.locator('.shoal-line').evaluateAll(paths => paths.map(path => path.getAttribute('d').match(/[ML]/g).length))
    assert.deepEqual(lines, [12, 7], 'models that never served are marks beside the line')
    assert.equal(await chart.locator('.shoal-mark-held').count(), 2)
    await region('Quality over time').getByText('The numbers as a table').click()
    const rows = region('Quality over time').getByRole('row')
    assert.equal(await rows.count(), 13)
    const newest = await rows.nth(1).innerText()
    assert.equal(newest.replace(/\s+/g, ' '), `Nov 20, 2026 ${AWAITING} awaits your look 0.151 0.187`)

    // As wide as there is room, with letters of the same size.
    const width = () => chart.evaluate(svg => svg.getBoundingClientRect().width)
    const before = await width()
    await page.setViewportSize({ width: 360, height: 800 })
    await page.waitForFunction(before => document.querySelector('.shoal-chart svg').getBoundingClientRect().width < before, before)
    assert.equal(await chart.locator('text').first().evaluate(text => getComputedStyle(text).fontSize), '12px')
    await page.setViewportSize({ width: 1280, height: 800 })
    await page.waitForFunction(before => (
      document.querySelector('.shoal-chart svg').getBoundingClientRect().width === before), before)
  })

  it('draws a single measurement, and says when there is none', async () => {
    const overview = control.overview()
    site.routes.set(`GET ${AT}overview`, () => ({ ...overview, quality: [{ ...overview.quality[3], federated: null }, { at: 'x' }, { at: 1, local: null, federated: null }] }))
    await open()
    await region('Quality over time').getByRole('img').waitFor()
    assert.equal(await page.locator('.shoal-chart .shoal-mark-local').count(), 1)
    const drawn = await page.locator('.shoal-chart *').evaluateAll(all => all.flatMap(({ attributes }) => [...attributes].map(({ value }) => value)))
    assert.ok(drawn.length > 20)
    assert.deepEqual(drawn.filter(value => /NaN|undefined|Infinity/.test(value)), [])
    site.routes.set(`GET ${AT}overview`, () => ({ ...overview, model: null, words: [], notices: [], quality: [] }))
    await tab('Overview').click()
    await region('Quality over time').getByText('No model has been measured yet.').waitFor()
    await region('Waiting for you').getByText('No decisions are waiting').waitFor()
    assert.deepEqual(page.errors, [])
  })

  it('lets a keyboard approve a peer by its words', async () => {
    await open('peers')
    assert.equal(await region('Requests').getByRole('listitem').count(), 1)
    await peer(ASKING).getByRole('button', { name: /^Approve/ }).focus()
    await page.keyboard.press('Enter')
    await dialog().waitFor()
    const { key, words } = control.peers.find(({ host }) => host === ASKING)
    assert.deepEqual(await dialog().getByRole('listitem').allTextContents(), words)
    const size = await dialog().getByRole('listitem').first().evaluate(item => parseFloat(getComputedStyle(item).fontSize))
    assert.ok(size >= 20, 'to be read aloud')
    assert.match(await dialog().textContent(), /Call the administrators of .tide\.example., by a number that you know/)
    assert.match(await focused(), /^Approve/, 'the keyboard is at the beginning, with nothing to press by accident')
    assert.equal(await dialog().evaluate(box => box.scrollTop), 0)
    await page.keyboard.press('Escape')
    await dialog().waitFor({ state: 'detached' })
    assert.deepEqual(orders(), [])
    assert.match(await focused(), /^Approve/, 'back where one was')

    await page.keyboard.press('Enter')
    await dialog().getByRole('textbox').focus()
    await page.keyboard.type('1e3')
    await page.keyboard.press('Tab')
    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    await dialog().getByRole('alert').filter({ hasText: 'whole number' }).waitFor()
    assert.deepEqual(orders(), [])
    await page.keyboard.press('Control+A')
    await page.keyboard.type('250')
    await page.keyboard.press('Tab')
    await page.keyboard.press('Tab')
    assert.equal(await focused(), 'The words are the same: approve')
    await page.keyboard.press('Enter')
    await said('tide.example')
    assert.deepEqual(orders(), [[`peers/${ASKING}/approve`, { key, max_users: 250 }]])
    await region('Your peers').getByRole('heading', { name: ASKING }).waitFor()
    assert.match(await focused(), /^tide\.example/, 'the keyboard is at the peer, where it stands now')
    assert.equal(await region('Requests').count(), 0)
  })

  it('pauses and resumes with a switch', async () => {
    await open('peers')
    const together = page.getByRole('switch', { name: /^Learn together with .reef/ })
    assert.equal(await together.isChecked(), true)
    await together.focus()
    await page.keyboard.press('Space')
    await said('is paused')
    assert.equal(await together.isChecked(), false)
    await together.click()
    await said('is approved')
    assert.deepEqual(orders(), [['peers/reef.example/pause', {}], ['peers/reef.example/resume', {}]], 'resuming approves nothing anew')

    site.routes.set(`POST ${AT}peers/reef.example/pause`, () => answer(502, { code: 'daemon-away', message: 'x', advice: 'y' }))
    await together.click()
    await page.getByRole('alert').filter({ hasText: 'does not answer. Start it' }).waitFor()
    assert.equal(await together.isChecked(), true, 'what holds')
  })

  it('looks at a new key before it is approved again', async () => {
    await open('peers')
    const { next_key: key, next_key_words: words } = control.peers.find(({ host }) => host === 'cove.example')
    await peer('cove.example').getByRole('button', { name: /^Look at the new key/ }).click()
    assert.deepEqual(await dialog().getByRole('listitem').allTextContents(), words)
    await dialog().getByRole('button', { name: /approve$/ }).click()
    await said('is approved')
    assert.deepEqual(orders(), [['peers/cove.example/approve', { key }]])
  })

  it('removes, declines and asks for keys', async () => {
    await open('peers')
    await peer('harbour.example').getByRole('button', { name: /^Remove/ }).click()
    assert.match(await dialog().textContent(), /goes only with a revert/)
    await dialog().getByRole('button', { name: 'Remove' }).click()
    await region('Former peers').getByRole('heading', { name: 'harbour.example' }).waitFor()
    await peer(ASKING).getByRole('button', { name: /^Decline/ }).click()
    await dialog().getByRole('button', { name: 'Remove' }).click()
    await said('is removed')
    await peer('far-away.example').getByRole('button', { name: /^Ask for its key/ }).click()
    await peer('far-away.example').getByRole('button', { name: /^Approve/ }).waitFor()
    assert.deepEqual(orders().map(([path]) => path), ['peers/harbour.example/remove', `peers/${ASKING}/remove`, 'peers'])
  })

  it('adds an instance by its host, and looks for others', async () => {
    await open('peers')
    const host = region('Add an instance').getByRole('textbox', { name: 'Host name' })
    // What was typed goes to the daemon as it is: there is one place that decides what it means.
    await host.fill('https://New.Example/about')
    await page.keyboard.press('Enter')
    await peer('new.example').waitFor()
    assert.match(await focused(), /^new\.example/)
    await region('Find instances').getByRole('button').click()
    await region('Find instances').getByText('1 new instance.').waitFor()
    assert.match(await region('Find instances').innerText(), /follows 14; asked so far: 12; known to run Shoal: 6/)
    assert.deepEqual(orders(), [['peers', { host: 'https://New.Example/about' }], ['peers/candidates', {}]])
    site.routes.set(`POST ${AT}peers`, () => answer(409, { code: 'busy', message: 'others are being asked', advice: 'Look in a minute.' }))
    await host.fill('third.example')
    await page.keyboard.press('Enter')
    await page.getByRole('alert').filter({ hasText: 'The daemon says: others are being asked. Look in a minute.' }).waitFor()
    assert.equal(await host.inputValue(), 'third.example')
  })

  it('shows what leaves: kinds, the next share with each rule, what left, bandwidth', async () => {
    await open('shared')
    assert.match(await region('Kinds of data that leave').innerText(), /Counts of viewers\s+How many of your viewers engaged/)
    const next = await region('What would leave next').innerText()
    assert.match(next, /reef\.example, harbour\.example/)
    assert.match(next, /refuses\s+.reef\.example. gets nothing new until Nov 24, 2026\./)
    assert.match(next, /5 of 1,310 are shown/)
    assert.match(next.replace(/\s+/g, ' '), /Videos asked about 1,402 .*Pairs of videos, at most 982,101 Size, at most 3\.9 MB/)
    assert.equal(await region('What would leave next').getByRole('row').count(), 6)
    const gone = (await region('What left').getByRole('row').allInnerTexts()).map(text => text.replace(/\s+/g, ' '))
    assert.equal(gone.length, 5)
    assert.match(gone[1], /reef\.example .*1,290 1,000 2 MB/)
    assert.match(gone[4], /nobody \(own release\) – 1,293 0 2 MB/)
    const month = await region('Bandwidth by month and peer').getByRole('row').nth(1).innerText()
    assert.equal(month.replace(/\s+/g, ' '), '2026-11 reef.example 7.4 MB 512.3 kB')
    assert.doesNotMatch(next, /Summed with/)

    const share = control.share()
    Object.assign(share.next, { group: 'coast', drawn: 'epoch', aggregators: ['reef.example'], members: ['here.example', 'lagoon.example'] })
    site.routes.set(`GET ${AT}share`, () => share)
    await tab('Overview').click()
    await tab('Shared').click()
    const row = region('What would leave next').locator('.shoal-facts > div').filter({ hasText: 'Summed with' })
    await row.waitFor()
    assert.match(await row.innerText(), /here\.example, lagoon\.example/)
  })

  it('shows rounds, more of them on demand, and which sub-cohorts were suspect', async () => {
    await open('rounds')
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
    await open('ledger')
    const entries = region('Ledger').locator('.shoal-list > li')
    await region('Ledger').getByText('60 entries, signed and in order.').waitFor()
    assert.match(await entries.first().innerText(), /^60\.\s*of-tomorrow/)
    assert.match(await entries.nth(4).innerText(), /^56\.\s*Group\s*reef\.example\s*divided .coast. anew/)
    assert.equal(await entries.count(), 25)
    await region('Ledger').getByRole('button', { name: 'Show older' }).press('Enter')
    await page.waitForFunction(() => document.activeElement?.textContent.startsWith('35.'))
    await region('Ledger').getByRole('button', { name: 'Show older' }).click()
    await entries.nth(59).waitFor()
    assert.equal(await region('Ledger').getByRole('button', { name: 'Show older' }).isVisible(), false)
    const numbers = (await entries.allTextContents()).map(text => parseInt(text, 10))
    assert.deepEqual(numbers, Array.from({ length: 60 }, (_, i) => 60 - i))
    await entries.nth(2).getByText('Details').click()
    assert.match(await entries.nth(2).locator('pre').innerText(), /"max_users": 500/)

    site.routes.set(`GET ${AT}ledger`, ({ query }) => ({ ...control.answer({ method: 'GET', path: 'ledger', query }).body, newest: 40, verified: false, problem: 'Entry 41 does not follow from entry 40.' }))
    await tab('Overview').click()
    await tab('Ledger').click()
    await region('Ledger').getByText('Entry 41 does not follow from entry 40.').waitFor()
    assert.match(await entries.first().innerText(), /^60\./, 'also what is not in order can be read')
  })

  it('lets a keyboard revert: choose, preview, confirm, read', async () => {
    await open('peers')
    await peer(BAD).getByRole('link', { name: /^Revert/ }).press('Enter')
    await page.waitForFunction(host => document.activeElement?.value === host, BAD)
    await page.keyboard.press('Tab')
    assert.equal(await focused(), 'Preview')
    await page.keyboard.press('Enter')
    await page.waitForFunction(() => document.activeElement?.textContent.startsWith('Preview: reverting'))
    const preview = await page.locator('.shoal-report').first().innerText()
    assert.match(preview, /212 of 1,430/)
    assert.match(preview, /9\.4% before, 1\.1% after/)
    assert.match(preview, /Would be deleted\s+sums: 2, models: 1/)
    assert.deepEqual(orders(), [[`peers/${BAD}/revert`, { dry_run: true, confirm: BAD }]])
    assert.equal(control.peers.find(({ host }) => host === BAD).state, 'approved', 'a preview changes nothing')

    const typed = page.getByRole('textbox', { name: 'Type the host name to confirm' })
    await typed.focus()
    await page.keyboard.type('spam.exampl')
    await page.keyboard.press('Enter')
    await page.getByRole('alert').filter({ hasText: 'Type exactly' }).waitFor()
    assert.equal(orders().length, 1)
    assert.equal(await typed.getAttribute('aria-invalid'), 'true')
    await page.keyboard.type('e')
    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    await page.waitForFunction(() => document.activeElement?.textContent.endsWith('has been reverted'))
    assert.deepEqual(orders()[1], [`peers/${BAD}/revert`, { dry_run: false, confirm: BAD }])
    const report = await page.locator('.shoal-report').first().innerText()
    assert.match(report, /Out of service after\s+1\.8 seconds/)
    assert.match(report, /proof: no stored sum or model names spam\.example/)
    assert.equal(await typed.count(), 0, 'what is done cannot be ordered again')
    await region('Earlier reverts').getByText(BAD, { exact: true }).first().waitFor()
    assert.deepEqual(page.errors, [])
  })

  it('follows a revert that takes long, and says what went wrong with it', async () => {
    control.slow = true
    await open('revert')
    await page.getByRole('combobox').selectOption(BAD)
    await page.getByRole('button', { name: 'Preview' }).click()
    await said('40%: comparing lists')
    assert.equal(await page.getByRole('progressbar').evaluate(bar => bar.value), 0.4)
    control.finish()
    await page.getByRole('heading', { name: /^Preview: reverting/ }).waitFor()
    assert.equal(await page.getByRole('progressbar').isVisible(), false)

    await page.getByRole('button', { name: 'Preview' }).click()
    await said('40%')
    control.running = null
    control.last = { host: BAD, dry_run: true, at: 0, report: null, problem: { code: 'job-failed', message: 'the job ended', advice: 'Look at the log' } }
    await page.getByRole('alert').filter({ hasText: 'The daemon says: the job ended. Look at the log' }).waitFor()
    assert.equal(await page.getByRole('progressbar').isVisible(), false)
  })

  it('forgets a preview when another peer is chosen', async () => {
    await open('revert')
    await page.getByRole('button', { name: 'Preview' }).click()
    await page.getByRole('alert').filter({ hasText: 'Choose a peer first.' }).waitFor()
    await page.getByRole('combobox').selectOption(BAD)
    await page.getByRole('button', { name: 'Preview' }).click()
    await page.locator('.shoal-confirm').waitFor()
    await page.getByRole('combobox').selectOption('reef.example')
    assert.equal(await page.locator('.shoal-confirm').count(), 0)
  })

  it('says of each tab what to do when it does not load, and tries again', async () => {
    const failures = [[DROPPED, 'Check your connection'], [answer(502, { code: 'daemon-away', message: 'x', advice: 'y' }), 'Start it, then try again'],
      [answer(504, { code: 'daemon-slow', message: 'x', advice: 'y' }), 'look again in a minute'],
      [answer(502, { code: 'admin-refused', message: 'the secret is another one', advice: 'Copy it.' }), 'The daemon says: the secret is another one. Copy it.'],
      [answer(403, { error: 'no' }), 'not allowed'], [answer(200, 'no JSON'), 'does not understand'], [answer(200, { peers: 7 }), 'does not understand']]
    await open('plugin')
    for (const [failure, expected] of failures) {
      site.routes.set(`GET ${AT}peers`, () => failure)
      await tab('Peers').click()
      await page.getByRole('tabpanel').getByRole('alert').filter({ hasText: expected }).waitFor()
    }
    site.routes.delete(`GET ${AT}peers`)
    await page.getByRole('button', { name: 'Try again' }).click()
    await region('Your peers').waitFor()
    for (const name of TABS) {
      site.routes.set(`GET ${AT}${{ shared: 'share', lookup: 'videos', revert: 'reverts' }[name] ?? name}`, () => ({}))
      await page.evaluate(name => { location.hash = name }, name)
      if (name === 'lookup') {
        await page.getByRole('searchbox').fill('x')
        await page.keyboard.press('Enter')
      }
      await page.waitForFunction(() => !document.querySelector('[aria-busy]'))
      assert.equal(await page.getByRole('tabpanel').count(), 1, name)
    }
    assert.deepEqual(page.errors.filter(error => !error.startsWith('Shoal:')), [])
  })

  it('shows what others wrote as text, whatever it is', async () => {
    const structure = new Set(['kind', 'state', 'theirs', 'source', 'mode', 'role', 'outcome', 'verdict', 'basis', 'against', 'month', 'approved', 'voucher', 'link', 'hosting', 'drawn', 'peer'])
    const bad = ['<img src=x onerror="window.pwned=1">', 'javascript:window.pwned=1', '"><svg onload=window.pwned=1>', '\u202Egnp.exe{count}', '{subject}${7*7}']
    let turn = 0
    const spoil = (value, name) => {
      if (Array.isArray(value)) return value.map(item => spoil(item, name))
      if (value && typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, spoil(item, key)]))
      return typeof value === 'string' && !structure.has(name) ? `${bad[turn++ % bad.length]}` : value
    }
    control.group.isMember()
    site.control = { answer: asked => ({ status: 200, body: spoil(control.answer(asked).body, '') }) }
    await open('overview')
    for (const name of TABS.filter(name => name !== 'revert')) await turnTo(page, name)
    await turnTo(page, 'peers')
    await page.getByRole('button', { name: /^Words and limit/ }).first().click()
    await dialog().getByRole('button', { name: 'Cancel' }).click()
    await page.evaluate(() => { location.hash = 'revert' })
    await page.getByRole('combobox').selectOption({ index: 1 })
    await page.getByRole('button', { name: 'Preview' }).click()
    await page.getByRole('heading', { name: /^Preview: reverting/ }).waitFor()
    await page.evaluate(() => new Promise(resolve => { setTimeout(resolve, 100) }))

    const found = await page.evaluate(() => ({
      pwned: window.pwned,
      elements: [...document.querySelectorAll('.shoal-page :is(img, script, iframe, svg[onload], [onerror], [onload], [style])')].map(element => element.tagName),
      links: [...document.querySelectorAll('.shoal-page a')].map(link => link.protocol).filter(protocol => !/^https?:$/.test(protocol)),
      turned: document.querySelector('.shoal-page').textContent.includes('\u202E'),
      shown: document.querySelector('.shoal-page').textContent.includes('<img src=x onerror="window.pwned=1">')
    }))
    assert.deepEqual(found, { pwned: undefined, elements: [], links: [], turned: false, shown: true })
    assert.deepEqual(page.errors, [])
  })
})
