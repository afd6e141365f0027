/** Every tab of the administrators' page, inside PeerTube and as the daemon serves it, however it is looked at. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { axeViolations } from './axe.js'
import { needsBrowser, openSite } from './browser.js'
import { lostKeyboard, nameless, tooWide, touching, unreadable } from './checks.js'
import { TABS, byDaemon, inPeerTube, turnTo } from './views.js'

const OURS = '[class^=shoal], #page'

const PLACES = {
  'inside PeerTube': async (site, look) => {
    const page = await site.page(look)
    await inPeerTube(site, page, TABS[0])
    return page
  },
  'served by the daemon': (site, look) => byDaemon(site, look, TABS[0])
}

for (const [place, open] of Object.entries(PLACES)) {
  describe(`the administrators' page ${place}`, needsBrowser, () => {
    /** @type {Awaited<ReturnType<typeof openSite>>} */
    let site
    before(async () => { site = await openSite() })
    after(() => site?.close())

    /** Look at each tab, in its fullest state. */
    const each = async (look, check) => {
      site.reset()
      const page = await open(site, look)
      for (const tab of TABS) {
        await turnTo(page, tab)
        await check(page, tab)
      }
      assert.deepEqual(page.errors, [])
      await page.context().close()
    }

    for (const look of [{ language: 'fr' }, ...place === 'inside PeerTube' ? [{ rtl: true }] : []]) {
      it(`fits 360 pixels: ${JSON.stringify(look)}`, () => each({ width: 360, height: 800, ...look }, async (page, tab) => {
        assert.deepEqual(await tooWide(page), [], tab)
        assert.deepEqual(await touching(page), [], tab)
      }))
    }

    for (const look of [{ width: 1400 }, { width: 1400, dark: true }, { width: 360 }, { width: 360, dark: true }]) {
      it(`has nothing that axe-core complains about: ${JSON.stringify(look)}`, () => each(look, async (page, tab) => {
        assert.deepEqual(await axeViolations(page, place === 'inside PeerTube' ? '.shoal-page' : 'body'), [], tab)
      }))
    }

    it('keeps its tabs in one row at 360 pixels', () => each({ width: 360 }, async page => {
      const tops = await page.getByRole('tab').evaluateAll(tabs => tabs.map(tab => tab.getBoundingClientRect().top))
      assert.equal(new Set(tops).size, 1)
    }))

    it('has readable text and big enough targets when it is dark', () => each({ dark: true }, async (page, tab) => {
      assert.deepEqual(await unreadable(page, OURS), { faint: [], small: [] }, tab)
    }))

    // Parts beside each other are reached column by column: this is about those below each other.
    it('is readable and named, and reached by keyboard from top to bottom', () => each({ width: 800 }, async (page, tab) => {
      assert.deepEqual(await unreadable(page, OURS), { faint: [], small: [] }, tab)
      assert.deepEqual(await nameless(page, OURS), [], tab)
      // Thirty rounds with all of it open are the same thirty times.
      await page.evaluate(() => {
        for (const [place, box] of document.querySelectorAll('.shoal-panel:not([hidden]) details').entries()) box.open = place === 0
      })
      assert.deepEqual(await lostKeyboard(page, OURS), [], tab)
    }))
  })
}

describe('the daemon\'s page before it is opened', needsBrowser, () => {
  it('looks right as well', async () => {
    const site = await openSite()
    for (const look of [{ width: 360 }, { dark: true }]) {
      const page = await byDaemon(site, look, 'token')
      assert.deepEqual(await tooWide(page), [])
      assert.deepEqual(await unreadable(page, OURS), { faint: [], small: [] })
      assert.deepEqual(await nameless(page, OURS), [])
    }
    await site.close()
  })
})
