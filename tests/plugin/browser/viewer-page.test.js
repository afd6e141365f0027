/** The viewer's own page in My account. */
import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'

import { DROPPED, answer, needsBrowser, openSite } from './browser.js'
import { CHANNEL, SECOND_VIDEO, VIDEO, about, viewerRoutes } from './answers.js'

describe('viewer page', needsBrowser, () => {
  /** @type {Awaited<ReturnType<typeof openSite>>} */
  let site
  /** @type {any} */
  let page
  before(async () => { site = await openSite() })
  after(() => site?.close())
  beforeEach(async () => {
    await page?.context().close()
    site.reset()
    viewerRoutes(site)
    page = await site.page()
  })

  const open = async (user = {}) => {
    if (user) await page.evaluate(user => window.shell.login(user), user)
    await page.evaluate(() => window.shell.open('/my-account', 'shoal'))
    await page.waitForFunction(() => !document.querySelector('[aria-busy]'))
  }
  const region = name => page.getByRole('region', { name })
  const training = () => page.getByRole('switch', { name: 'Take part in training' })
  const says = (name, text) => region(name).getByText(text).first().waitFor()

  it('asks who is not logged in to log in, and asks the server nothing', async () => {
    await open(null)
    assert.match(await page.locator('#content').textContent(), /Log in to see/)
    assert.equal(site.requests.length, 0)
  })

  it('states opting in, opting out, and history', async () => {
    await open()
    const text = await region('Your choice').textContent()
    assert.match(text, /nobody takes part unless they opt in/)
    assert.match(text, /history switched off in PeerTube takes no part either way/)
    assert.equal(await page.locator('.alert').count(), 0)

    site.routes.set('GET viewer/v1/about', () => ({ ...about, consent: 'opt-out' }))
    await open()
    assert.match(await region('Your choice').textContent(), /take part unless they opt out/)
  })

  it('says that history is off, and where to change it', async () => {
    site.routes.set('GET viewer/v1/choice', () => ({ training: true, personal: false, history: false }))
    await open()
    await says('Your choice', 'you take no part, whatever is chosen here')
    assert.equal(await page.getByRole('link', { name: 'Change it in your settings' }).getAttribute('href'), '/my-account/settings')
  })

  it('saves a choice at once and says so', async () => {
    await open()
    assert.equal(await training().isChecked(), false)
    await training().focus()
    await page.keyboard.press('Space')
    await page.getByRole('status').filter({ hasText: 'Saved.' }).waitFor({ state: 'attached' })
    assert.deepEqual(site.asked('PUT viewer/v1/choice')[0].body, { training: true, personal: false })
    await page.getByRole('switch', { name: 'Personal suggestions' }).click()
    await page.waitForFunction(() => document.querySelectorAll('[role=switch]:checked').length === 2)
    assert.deepEqual(site.asked('PUT viewer/v1/choice')[1].body, { training: true, personal: true })
  })

  it('puts a choice back that could not be saved, and says what to do', async () => {
    for (const [failure, expected] of [
      [DROPPED, /try again/], [answer(401), /Log in again/], [answer(503), /Try again later/]
    ]) {
      site.routes.set('PUT viewer/v1/choice', () => failure)
      await open()
      await training().click()
      await region('Your choice').getByRole('alert').filter({ hasText: expected }).waitFor()
      assert.equal(await training().isChecked(), false)
    }
  })

  it('names the instances that receive sums, and says when nobody does', async () => {
    await open()
    assert.deepEqual(await region('Learning together').getByRole('listitem').allTextContents(), ['far.example', 'near.example'])

    for (const [mode, expected] of [
      ['off', /No other instance/], ['simulate', /No other instance/], ['consume', /sends them nothing/],
      [null, /cannot be told right now/]
    ]) {
      site.routes.set('GET viewer/v1/about', () => ({ ...about, mode }))
      await open()
      await says('Learning together', expected)
      assert.equal(await region('Learning together').getByRole('listitem').count(), 0)
    }
  })

  it('says what suggestions rest on, and nothing that nobody knows', async () => {
    await open()
    await says('Learning together', /numbers of viewers with random noise added/)

    site.routes.set('GET viewer/v1/about', () => ({ ...about, exact: true }))
    await open()
    await says('Learning together', /rest on exact numbers, and only members see them/)

    site.routes.set('GET viewer/v1/about', () => ({ ...about, exact: null, mode: null, peers: [], daemon: false }))
    await open()
    await says('Learning together', 'cannot be told right now')
    assert.doesNotMatch(await region('Learning together').textContent() ?? '', /noise|exact/)
  })

  it('shows what is known when asked, as a list to read', async () => {
    await open()
    assert.equal(site.asked('GET viewer/v1/known').length, 0)
    await page.getByRole('button', { name: 'Show it' }).click()
    await says('What is known about you', '2 videos')
    const items = await region('What is known about you').getByRole('listitem').allTextContents()
    assert.equal(items[0], 'Sailing <b>home</b>liked · watched 80% · Nov 12, 2026')
    assert.equal(items[1], 'https://far.example/videos/watch/gonedisliked')
    assert.equal(await region('What is known about you').getByRole('link', { name: 'Sailing <b>home</b>' }).getAttribute('href'), `/w/${VIDEO}`)
  })

  it('shows long lists in steps and keeps the keyboard in place', async () => {
    site.routes.set('GET viewer/v1/known', () => ({
      videos: Array.from({ length: 120 }, (_, place) => ({ uuid: SECOND_VIDEO, url: `https://far.example/${place}`, liked: true }))
    }))
    await open()
    await page.getByRole('button', { name: 'Show it' }).click()
    await says('What is known about you', '120 videos')
    assert.equal(await region('What is known about you').getByRole('listitem').count(), 50)
    await page.getByRole('button', { name: 'Show more' }).click()
    await page.waitForFunction(() => document.activeElement?.textContent?.startsWith('https://far.example/50'))
    await page.getByRole('button', { name: 'Show more' }).click()
    await page.waitForFunction(() => document.querySelectorAll('.shoal-list li').length >= 120)
    await page.getByRole('button', { name: 'Show more' }).waitFor({ state: 'hidden' })
  })

  it('says that nothing is known, and what to do when asking fails', async () => {
    site.routes.set('GET viewer/v1/known', () => answer(503))
    await open()
    await page.getByRole('button', { name: 'Show it' }).click()
    await region('What is known about you').getByRole('alert').filter({ hasText: 'Try again later' }).waitFor()
    site.routes.set('GET viewer/v1/known', () => ({ videos: [] }))
    await page.getByRole('button', { name: 'Show it' }).click()
    await says('What is known about you', 'Nothing is known about you.')
    assert.equal(await region('What is known about you').getByRole('alert').count(), 0)
  })

  it('makes no link of an address that is not of the web', async () => {
    site.routes.set('GET viewer/v1/known', () => ({ videos: [{ uuid: SECOND_VIDEO, url: 'javascript:alert(1)', liked: true }] }))
    await open()
    await page.getByRole('button', { name: 'Show it' }).click()
    await says('What is known about you', 'javascript:alert(1)')
    assert.equal(await region('What is known about you').getByRole('link').count(), 0)
  })

  it('lists what is hidden and brings it back, with the keyboard staying in place', async () => {
    await open()
    const hidden = region('Hidden from your suggestions')
    assert.match((await hidden.getByRole('listitem').allTextContents()).join('|'), /Video Sailing <b>home<\/b>.*\|.*Channel news@far\.example/s)

    site.routes.set('DELETE viewer/v1/hidden', () => answer(503))
    const first = hidden.getByRole('button', { name: /Sailing/ })
    await first.click()
    await hidden.getByRole('alert').filter({ hasText: 'Try again later' }).waitFor()
    assert.equal(await hidden.getByRole('listitem').count(), 2)

    site.routes.set('DELETE viewer/v1/hidden', () => answer(204, ''))
    await first.press('Enter')
    await page.waitForFunction(() => document.activeElement?.getAttribute('aria-label')?.includes('news@far.example'))
    assert.deepEqual(site.asked('DELETE viewer/v1/hidden').at(-1).body, { kind: 'video', id: 7 })
    await page.keyboard.press('Enter')
    await says('Hidden from your suggestions', 'You have hidden nothing.')
    assert.deepEqual(site.asked('DELETE viewer/v1/hidden').at(-1).body, { kind: 'channel', id: 9 })
    assert.equal(await page.evaluate(() => document.activeElement?.textContent), 'Hidden from your suggestions')
  })

  const positions = () => region('Familiar or new').getByRole('radio')
  const position = name => region('Familiar or new').getByRole('radio', { name, exact: true })
  const chosen = () => positions().evaluateAll(found => (
    found.filter(radio => radio.checked).map(radio => radio.labels[0].textContent)))
  const saved = () => site.asked('PUT viewer/v1/discovery').map(({ body }) => body)

  it('lets a viewer choose how far suggestions lead, and says what each choice means', async () => {
    await open()
    assert.deepEqual(await positions().evaluateAll(found => found.map(radio => [
      radio.labels[0].textContent, document.getElementById(radio.getAttribute('aria-describedby')).textContent
    ])), [
      ['As this site sets it', 'You get what the administrators have chosen, also when they change it.'],
      ['Familiar', 'More of what many people watch, and hardly any new videos.'],
      ['Balanced', 'Some of what many people watch, some of what few know, and now and then a new video.'],
      ['Explore', 'More of what few people have seen, and more new videos.']
    ])
    assert.equal(await page.getByRole('group', { name: 'Familiar or new' }).count(), 1)
    assert.deepEqual(await chosen(), ['As this site sets it'])

    await position('Explore').click()
    await page.getByRole('status').filter({ hasText: 'Saved.' }).waitFor({ state: 'attached' })
    await region('Familiar or new').getByText('As this site sets it').click()
    await page.waitForFunction(() => document.querySelector('.shoal-radio').checked)
    assert.deepEqual(saved(), [{ discovery: 'explore' }, { discovery: null }])

    for (const [discovery, label] of [['familiar', 'Familiar'], ['balanced', 'Balanced'], ['explore', 'Explore']]) {
      site.routes.set('GET viewer/v1/discovery', () => ({ discovery }))
      await open()
      assert.deepEqual(await chosen(), [label])
    }
    site.routes.set('GET viewer/v1/discovery', () => ({ discovery: 'else' }))
    await open()
    await region('Familiar or new').getByRole('alert').filter({ hasText: 'does not understand' }).waitFor()
  })

  it('saves the last of several choices made in a hurry, one at a time', async () => {
    const waiting = []
    site.routes.set('PUT viewer/v1/discovery', ({ body }) => new Promise(resolve => waiting.push(() => resolve(body))))
    await open()
    await position('As this site sets it').focus()
    for (const _ of [1, 2, 3]) await page.keyboard.press('ArrowDown')
    assert.deepEqual(await chosen(), ['Explore'])
    while (waiting.length === 0) await page.waitForTimeout(5)
    await page.waitForTimeout(100)
    assert.deepEqual(saved(), [{ discovery: 'familiar' }])
    waiting.pop()()
    while (waiting.length === 0) await page.waitForTimeout(5)
    waiting.pop()()
    await page.getByRole('status').filter({ hasText: 'Saved.' }).waitFor({ state: 'attached' })
    await page.waitForTimeout(100)
    assert.deepEqual(saved(), [{ discovery: 'familiar' }, { discovery: 'explore' }])
    assert.deepEqual(await chosen(), ['Explore'])
  })

  it('goes back to the choice that holds when another cannot be saved', async () => {
    site.routes.set('GET viewer/v1/discovery', () => ({ discovery: 'balanced' }))
    const works = site.routes.get('PUT viewer/v1/discovery')
    site.routes.set('PUT viewer/v1/discovery', () => answer(503))
    await open()
    await position('Balanced').focus()
    await page.keyboard.press('ArrowDown')
    await region('Familiar or new').getByRole('alert').filter({ hasText: 'Try again later' }).waitFor()
    assert.deepEqual(await chosen(), ['Balanced'])
    assert.equal(await page.evaluate(() => document.activeElement.labels[0].textContent), 'Balanced')

    site.routes.set('PUT viewer/v1/discovery', works)
    await page.keyboard.press('ArrowDown')
    await page.getByRole('status').filter({ hasText: 'Saved.' }).waitFor({ state: 'attached' })
    assert.deepEqual(await chosen(), ['Explore'])
    assert.equal(await region('Familiar or new').getByRole('alert').filter({ hasText: /./ }).count(), 0)
  })

  it('offers channel owners, and nobody else, to take channels out', async () => {
    await open()
    assert.equal(await region('Your channels').count(), 0)

    await open({ videoChannels: [{ url: CHANNEL, displayName: 'News & <i>views</i>' }] })
    const out = page.getByRole('switch', { name: 'News & <i>views</i>' })
    assert.equal(await out.isChecked(), false)
    await out.click()
    await page.getByRole('status').filter({ hasText: 'Saved.' }).waitFor({ state: 'attached' })
    assert.deepEqual(site.asked('PUT owner/v1/channels')[0].body, { [CHANNEL]: true })

    site.routes.set('PUT owner/v1/channels', () => answer(503))
    await out.click()
    await region('Your channels').getByRole('alert').filter({ hasText: 'Try again later' }).waitFor()
    assert.equal(await out.isChecked(), true)
  })

  it('erases only after a clear yes', async () => {
    await open()
    const button = page.getByRole('button', { name: 'Withdraw and erase…' })
    for (const no of [() => page.keyboard.press('Escape'), () => page.getByRole('button', { name: 'Cancel' }).click()]) {
      await button.click()
      await page.getByRole('dialog', { name: 'Withdraw and erase?' }).waitFor()
      assert.equal(await page.evaluate(() => document.activeElement?.textContent), 'Cancel')
      await no()
      await page.getByRole('dialog').waitFor({ state: 'detached' })
      assert.equal(site.asked('POST viewer/v1/withdraw').length, 0)
      assert.equal(await page.evaluate(() => document.activeElement?.textContent), 'Withdraw and erase…')
    }

    site.routes.set('POST viewer/v1/withdraw', () => answer(503))
    await button.click()
    await page.getByRole('button', { name: 'Erase', exact: true }).click()
    await region('Withdraw and erase').getByRole('alert').filter({ hasText: 'Try again later' }).waitFor()

    site.routes.set('POST viewer/v1/withdraw', () => answer(502))
    await button.click()
    await page.getByRole('button', { name: 'Erase', exact: true }).click()
    await region('Withdraw and erase').getByRole('alert').filter({ hasText: 'You no longer take part. What is known about you could not be erased yet' }).waitFor()
    await page.waitForFunction(() => !document.querySelector('[aria-busy]'))

    site.routes.set('POST viewer/v1/withdraw', () => answer(204, ''))
    const parts = ['choice', 'discovery', 'hidden'].map(name => `GET viewer/v1/${name}`)
    const before = parts.map(part => site.asked(part).length)
    await button.click()
    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    await region('Withdraw and erase').getByRole('status').filter({ hasText: 'has been erased' }).waitFor()
    await page.waitForFunction(() => !document.querySelector('[aria-busy]'))
    assert.deepEqual(parts.map(part => site.asked(part).length), before.map(count => count + 1))
  })

  it('says of each part what to do when it does not load, and loads it when asked again', async () => {
    for (const [route, part] of [
      ['GET viewer/v1/about', 'Learning together'],
      ['GET viewer/v1/choice', 'Your choice'],
      ['GET viewer/v1/discovery', 'Familiar or new'],
      ['GET viewer/v1/hidden', 'Hidden from your suggestions'],
      ['GET owner/v1/channels', 'Your channels']
    ]) {
      const works = site.routes.get(route)
      site.routes.set(route, () => DROPPED)
      await open({ videoChannels: [{ url: CHANNEL, displayName: 'News' }] })
      await region(part).getByRole('alert').filter({ hasText: 'Check your connection' }).waitFor()
      site.routes.set(route, works)
      await region(part).getByRole('button', { name: 'Try again' }).press('Enter')
      await page.waitForFunction(() => !document.querySelector('[aria-busy]'))
      assert.equal(await region(part).getByRole('button', { name: 'Try again' }).count(), 0, part)
      assert.notEqual(await page.evaluate(() => document.activeElement?.tagName), 'BODY', part)
    }
    assert.deepEqual(page.errors, [])
  })

  it('bears answers that it does not understand', async () => {
    for (const nonsense of ['null', '[]', '"x"', '<html>', '{"items":5,"videos":5,"channels":5,"peers":5}']) {
      for (const key of site.routes.keys()) {
        if (!key.startsWith('api')) site.routes.set(key, () => answer(200, nonsense))
      }
      await open({ videoChannels: [{ url: CHANNEL, displayName: 'News' }] })
      await page.getByRole('button', { name: 'Show it' }).click()
      await page.waitForTimeout(100)
      assert.ok(await page.getByRole('alert').filter({ hasText: 'does not understand' }).count() >= 4, nonsense)
    }
  })
})
