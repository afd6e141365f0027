/** Related videos in a block of our own, where PeerTube's page asks the plugin for none. */
import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'

import { needsBrowser, openSite } from './browser.js'

const SEED = '7b9fa1b2-4c1d-4e8f-9a10-0123456789ab'
const FIRST = '0b6d7d0e-2f5a-4d0f-8f6c-1d2e3f4a5b6c'
const SECOND = '11111111-2222-4333-8444-555555555555'
const SILENT = 'GET effects/v1/silent'
const SEARCH = 'api GET search/videos'
const REASONS = { [FIRST]: { kind: 'channel', text: '' } }

describe('a block of our own', needsBrowser, () => {
  let site, page, listed
  before(async () => { site = await openSite() })
  after(() => site?.close())
  beforeEach(async () => {
    await page?.context().close()
    site.reset()
    listed = false
    site.routes.set(SILENT, () => ({ silent: true }))
    site.routes.set(SEARCH, () => {
      listed = true
      return { data: [FIRST, SECOND].map((uuid, place) => ({ uuid, name: `Video ${place}`, channel: { displayName: 'News' } })) }
    })
    site.routes.set('GET why/v1/reasons', () => ({ reasons: listed ? REASONS : {} }))
    page = await site.page()
  })
  const block = () => page.getByRole('region', { name: 'Related videos' })
  const watch = anchor => page.evaluate(([uuid, anchor]) => window.shell.watch({ uuid, anchor }), [SEED, anchor])
  const list = () => page.evaluate(uuid => window.shell.list([{ uuid, title: 'Stock' }]), SECOND)

  it('shows what has a reason, below the list of PeerTube, and goes with the page', async () => {
    await watch(true)
    await list()
    await block().getByRole('link', { name: 'Video 0' }).waitFor()
    assert.equal(await block().getByRole('listitem').count(), 1, 'what has no reason is not of our list')
    assert.match(await block().textContent(), /News.*same channel/)
    const [{ query, headers }] = site.asked(SEARCH)
    assert.deepEqual([query.sort, query.searchTarget, query.shoal], ['-publishedAt', 'local', 'own-block'])
    assert.match(headers.referer, new RegExp(`/w/${SEED}`))
    await page.evaluate(() => window.shell.leave())
    assert.equal(await block().count(), 0)
    assert.deepEqual(page.errors, [])
  })

  it('is not there while lists are filled; that is asked once', async () => {
    site.routes.set(SILENT, () => ({ silent: false }))
    for (const anchor of [true, false]) {
      await watch(anchor)
      await page.waitForTimeout(4500)
    }
    assert.deepEqual([site.asked(SILENT).length, site.asked(SEARCH).length, await block().count()], [1, 0, 0])
  })

  it('never stands beside a list of ours', async () => {
    site.routes.set('GET why/v1/reasons', () => ({ reasons: { [SECOND]: REASONS[FIRST] } }))
    await watch(true)
    await list()
    await page.waitForTimeout(4500)
    assert.deepEqual([site.asked(SILENT).length, await block().count()], [0, 0])
  })
})
