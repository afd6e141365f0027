/** A viewer's own list, and the way of a new viewer to it and back. */
import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'

import { fixture, pages } from '../server/fixture.js'
import { forYou, viewerRoutes } from './answers.js'
import { answer, needsBrowser, openSite } from './browser.js'
import { violations } from './checks.js'
import { rested } from './views.js'

const LIST = 'GET recommendations/v1/videos'

describe('for you', needsBrowser, () => {
  let site, page
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
    await page.evaluate(() => window.shell.open('/', 'shoal/for-you'))
    await page.waitForFunction(() => !document.querySelector('[aria-busy]'))
  }
  const cards = () => page.locator('.shoal-video-cards > li')
  const answers = (state, data = []) => site.routes.set(LIST, () => ({ state, known: 0, total: data.length, data }))

  it('shows each video with picture, channel and reason, all from this instance', async () => {
    await open()
    assert.equal(await cards().count(), forYou.length)
    const first = cards().first()
    const [{ uuid, name }] = forYou
    const link = first.getByRole('link', { name })
    assert.equal(await link.getAttribute('href'), `/w/${uuid}`)
    assert.equal(await link.locator('img').getAttribute('src'), `/lazy-static/thumbnails/${uuid}.jpg`)
    assert.equal(await first.getByRole('link', { name: 'Sailing home' }).getAttribute('href'), '/c/channel_sailing@far.example/videos')
    await first.getByText('About 20 or more viewers liked or watched both').waitFor()
    assert.equal(await first.getByRole('link', { name: 'Why?' }).getAttribute('href'), '/my-account/p/shoal')
    assert.ok(page.sent.every(({ url }) => url.startsWith(site.url)))
    assert.deepEqual(page.errors, [])
  })

  it('asks for no picture from elsewhere, and makes no markup of a title', async () => {
    const [video] = forYou
    answers('ready', ['https://far.example/a.jpg', '//far.example/a.jpg', 'javascript:alert(1)', null]
      .map(thumbnailPath => ({ ...video, name: '<b>bold</b>', thumbnailPath, channel: undefined, reason: undefined })))
    await open()
    assert.equal(await page.locator('.shoal-video-cards img').count(), 0)
    assert.equal(await cards().first().getByRole('link', { name: '<b>bold</b>' }).count(), 1)
    assert.ok(page.sent.every(({ url }) => url.startsWith(site.url)))
  })

  it('says what to do where there is no list', async () => {
    await open(null)
    await page.getByText('Log in to see and change your part in suggestions.').waitFor()
    assert.equal(site.asked(LIST).length, 0)
    for (const [state, expected] of [
      ['history-off', /Your watch history is switched off/], ['not-on', /once you want them/],
      ['no-model', /Come back tomorrow/], ['ready', /nothing left that fits/]
    ]) {
      answers(state)
      await open()
      await page.getByText(expected).waitFor()
      assert.equal(await cards().count(), 0)
      const mayReset = state === 'no-model' || state === 'ready'
      assert.equal(await page.getByRole('button', { name: 'Withdraw and erase…' }).count(), mayReset ? 1 : 0, state)
      assert.deepEqual(await violations(page), [], state)
    }
    assert.equal(await page.getByRole('link', { name: 'What is known, and what is sent' }).getAttribute('href'), '/my-account/p/shoal')

    site.routes.set(LIST, () => answer(502, { error: 'away' }))
    await open()
    await page.getByRole('alert').filter({ hasText: 'Try again later' }).waitFor()
    answers('ready', forYou)
    await page.getByRole('button', { name: 'Try again' }).click()
    await cards().first().waitFor()
  })

  it('says that it rests on little, as long as it does', async () => {
    for (const [known, count] of [[0, 1], [4, 1], [5, 0]]) {
      site.routes.set(LIST, () => ({ state: 'ready', known, total: 1, data: forYou }))
      await open()
      assert.equal(await page.getByText('So far your list rests on little').count(), count, String(known))
    }
  })

  it('has outlines, and words for screen readers, until there is something', async () => {
    /** @type {(value: unknown) => void} */
    let late = () => {}
    for (const [key, parent, route] of [[LIST, '/', 'shoal/for-you'], ['GET viewer/v1/about', '/my-account', 'shoal']]) {
      site.routes.set(key, () => new Promise(resolve => { late = resolve }))
      await page.evaluate(() => window.shell.login({}))
      await page.evaluate(([parent, route]) => window.shell.open(parent, route), [parent, route])
      const waiting = page.locator('[aria-busy] .shoal-skeleton').first()
      await waiting.waitFor()
      assert.ok((await waiting.boundingBox()).height > 50)
      await page.getByText('Loading…').first().waitFor({ state: 'attached' })
      late({ consent: 'opt-in', peers: [], state: 'ready', known: 9, data: forYou })
      await page.waitForFunction(() => !document.querySelector('.shoal-skeleton'))
    }
  })

  it('hides a video or its channel under "less like this", and takes it back in the same place', async () => {
    site.routes.set(`api GET videos/${forYou[0].uuid}`, () => ({ channel: { url: 'https://far.example/video-channels/sailing' } }))
    await open()
    const sailing = forYou.filter(({ channel }) => channel.displayName === 'Sailing home').length
    const hidden = () => page.locator('.shoal-video-cards .shoal-hidden').count()
    const less = cards().first().getByRole('button', { name: /^Less like this/ })
    for (const [choice, body, count] of [
      ['Hide this video', { kind: 'video', id: forYou[0].uuid }, 1],
      ['Hide this channel', { kind: 'channel', id: 'https://far.example/video-channels/sailing' }, sailing]
    ]) {
      await less.focus()
      await page.keyboard.press('Enter')
      await cards().first().getByRole('button', { name: choice }).click()
      const undo = cards().first().getByRole('button', { name: 'Undo' })
      await undo.waitFor()
      assert.equal(await hidden(), count)
      assert.deepEqual(site.asked('POST viewer/v1/hidden').at(-1).body, body)
      await page.waitForFunction(() => document.activeElement?.textContent === 'Undo')
      await page.keyboard.press('Enter')
      await less.waitFor()
      assert.equal(await hidden(), 0)
      assert.deepEqual(site.asked('DELETE viewer/v1/hidden').at(-1).body, body)
    }
    assert.deepEqual(page.errors, [])
  })

  it('is made anew when the viewer turns the dial', async () => {
    await open()
    await page.getByRole('radio', { name: 'Explore' }).click()
    await page.waitForFunction(() => document.querySelector('.shoal-radio:checked')?.value === 'explore')
    assert.deepEqual(site.asked('PUT viewer/v1/discovery')[0].body, { discovery: 'explore' })
    await page.waitForFunction(() => !document.querySelector('[aria-busy]'))
    assert.equal(site.asked(LIST).length, 2)
  })

  it('is in the menu of who is logged in', async () => {
    const paths = async () => {
      const sections = await page.evaluate(() => window.shell.menu())
      return sections.flatMap(({ links }) => links.map(({ path }) => path))
    }
    assert.deepEqual(await paths(), [])
    await page.evaluate(() => window.shell.login({}))
    assert.deepEqual(await paths(), ['/p/shoal/for-you'])
  })
})

describe('a new viewer', needsBrowser, () => {
  it('is asked, reads what it means, gets a list, and goes back to nothing known, by clicks alone', async () => {
    const site = await openSite()
    const world = await fixture()
    try {
      const anna = await world.seed.user('anna')
      const videos = []
      for (let n = 0; n < 6; n++) videos.push(await world.seed.video(world.creator.channel, { name: `Film ${n}` }))
      const [current, ...others] = videos
      await world.seed.watch(anna, current, 90)
      world.daemon.suggests(others)
      // The daemon knows what the plugin hands out, until it is told to forget.
      const known = async ({ viewer }) => {
        const found = (await pages(world, 'engagements?kind=history&upto=999')).filter(item => item.viewer === viewer)
        return found.map(({ watched }) => ({ ...current, liked: false, disliked: false, watched, at: null }))
      }
      world.daemon.on('/v1/viewers/known', async (_request, _response, body) => ({ videos: await known(JSON.parse(body)) }))
      world.daemon.on('/v1/viewers/forget', (_request, response) => { response.writeHead(204).end() })
      world.daemon.on('/v1/recommendations', async (_request, _response, body) => ({
        history: (await known(JSON.parse(body))).length,
        videos: others.map(({ uuid, url }) => ({ uuid, url, reason: { kind: 'history', tags: ['film'] } }))
      }))
      site.fallback = ({ key, path, method, body }) => {
        const base = key.startsWith('api ') ? '/api/v1/' : world.host.base
        return world.host.fetch(base + path, { method, user: anna, json: method === 'GET' ? undefined : body })
      }

      const page = await site.page()
      const arrive = async () => {
        await page.waitForFunction(() => 'shell' in window)
        await page.evaluate(() => window.shell.login({}))
        const [, parent, route] = /^(\/my-account|)\/p\/(.+)$/.exec(new URL(page.url()).pathname)
        await page.evaluate(([parent, route]) => window.shell.open(parent, route), [parent || '/', route])
        await page.waitForFunction(() => document.querySelector('.shoal-page') && !document.querySelector('[aria-busy]'))
      }
      const follow = async name => {
        await Promise.all([page.waitForEvent('load'), page.getByRole('link', { name }).first().click()])
        await arrive()
      }

      // As the watch page asks for its list, but without its deadline.
      await world.call('GET', `recommendations/v1/videos?video=${current.uuid}`, { user: anna })
      await page.evaluate(() => window.shell.login({}))
      await page.evaluate(uuid => window.shell.watch({ uuid }), current.uuid)
      await page.evaluate(videos => window.shell.list(videos), others.map(({ uuid, name }) => ({ uuid, title: name })))
      await page.getByRole('button', { name: 'Take part' }).click()
      await page.getByText('You take part.').waitFor()
      await follow('What this means')
      await page.getByText('IP address').waitFor()

      await follow('See your own list')
      await page.getByRole('button', { name: 'Switch both on' }).click()
      const cards = page.locator('.shoal-video-cards > li')
      await cards.first().waitFor()
      assert.deepEqual(await cards.locator('.video-name').allTextContents(), others.map(({ name }) => name))
      await cards.first().getByText('Fits what you liked or watched: ').waitFor()
      await page.getByText('So far your list rests on little').waitFor()
      await page.waitForFunction(() => document.activeElement?.tagName === 'H1')

      await cards.first().getByRole('button', { name: /^Less like this/ }).click()
      await cards.first().getByRole('button', { name: 'Hide this video' }).click()
      await cards.first().getByRole('button', { name: 'Undo' }).waitFor()
      await page.getByRole('radio', { name: 'Explore' }).click()
      await page.waitForFunction(count => document.querySelectorAll('.shoal-video-cards > li').length === count, others.length - 1)
      assert.equal(JSON.parse(world.daemon.about('/v1/recommendations').at(-1).body).discovery, 'explore')

      await page.getByRole('button', { name: 'Withdraw and erase…' }).click()
      await page.getByRole('button', { name: 'Erase', exact: true }).click()
      await page.getByText('what was known about you has been erased').waitFor()
      await page.getByRole('button', { name: 'Switch both on' }).waitFor()
      assert.equal(world.daemon.about('/v1/viewers/forget').length, 1)

      await follow('What is known, and what is sent')
      await rested(page)
      await page.getByRole('button', { name: 'Show it' }).click()
      await page.getByText('Nothing is known about you.').waitFor()
      const { training, personal } = (await world.call('GET', 'viewer/v1/choice', { user: anna })).body
      assert.deepEqual([training, personal], [false, false])
      assert.deepEqual(page.errors, [])
    } finally {
      await site.close()
      await world.close()
    }
  })
})
