/** Narrow, dark, right to left: what must hold however the pages are looked at. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { needsBrowser, openSite } from './browser.js'
import { lostKeyboard, nameless, tooWide, touching, unreadable } from './checks.js'
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

    it(`${view} keeps neighbours apart, left to right and right to left`, async () => {
      for (const rtl of [false, true]) {
        const page = await site.page({ rtl })
        await show(site, page, view)
        assert.deepEqual(await touching(page), [])
        await page.context().close()
      }
    })

    it(`${view} has readable text and big enough targets, light and dark`, async () => {
      for (const dark of [false, true]) {
        const page = await site.page({ dark })
        await show(site, page, view)
        const { faint, small } = await unreadable(page)
        assert.deepEqual(faint, [], dark ? 'dark' : 'light')
        assert.deepEqual(small, [])
        await page.context().close()
      }
    })

    it(`${view} shows where the keyboard is, in an order from top to bottom`, async () => {
      const page = await site.page()
      await show(site, page, view)
      assert.deepEqual(await lostKeyboard(page), [])
      await page.context().close()
    })

    it(`${view} gives everything a name`, async () => {
      const page = await site.page()
      await show(site, page, view)
      assert.deepEqual(await nameless(page), [])
      await page.context().close()
    })
  }
})
