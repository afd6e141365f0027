/** Narrow, dark, right to left: what must hold however the pages are looked at. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { needsBrowser, openSite } from './browser.js'
import { lostKeyboard, nameless, tooWide, touching, unreadable, violations } from './checks.js'
import { VIEWS, show } from './views.js'

describe('looks', needsBrowser, () => {
  /** @type {Awaited<ReturnType<typeof openSite>>} */
  let site
  before(async () => { site = await openSite() })
  after(() => site?.close())

  for (const view of VIEWS) {
    for (const language of ['en', 'fr']) {
      it(`${view} fits 360 pixels in ${language}, left to right and right to left`, async () => {
        for (const rtl of [false, true]) {
          const page = await site.page({ width: 360, height: 800, language, rtl })
          await show(site, page, view)
          assert.deepEqual(await tooWide(page), [])
          await page.context().close()
        }
      })
    }

    it(`${view} keeps neighbours apart right to left`, async () => {
      const page = await site.page({ rtl: true })
      await show(site, page, view)
      assert.deepEqual(await touching(page), [])
      await page.context().close()
    })

    it(`${view} has readable text and big enough targets when it is dark`, async () => {
      const page = await site.page({ dark: true })
      await show(site, page, view)
      assert.deepEqual(await unreadable(page), { faint: [], small: [] })
      assert.deepEqual(await violations(page), [])
      await page.context().close()
    })

    it(`${view} is readable, named and apart, and reached by keyboard from top to bottom`, async () => {
      const page = await site.page({ width: 1900 })
      await show(site, page, view)
      assert.deepEqual(await tooWide(page), [])
      assert.deepEqual(await violations(page), [])
      assert.deepEqual(await unreadable(page), { faint: [], small: [] })
      assert.deepEqual(await nameless(page), [])
      assert.deepEqual(await touching(page), [])
      // In columns the next one begins higher up.
      if (view === 'for you') await page.setViewportSize({ width: 360, height: 800 })
      assert.deepEqual(await lostKeyboard(page), [])
      await page.context().close()
    })
  }
})
