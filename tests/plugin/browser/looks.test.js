/** Narrow, dark, right to left: what must hold however the pages are looked at. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { needsBrowser, openSite } from './browser.js'
import { VIEWS, show } from './views.js'

const AA = 4.5

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
          const wide = await page.evaluate(() => [...document.querySelectorAll('body *')]
            .filter(element => !element.closest('.visually-hidden'))
            .map(element => ({ element, box: element.getBoundingClientRect() }))
            .filter(({ box }) => box.width > 0 && (box.right > innerWidth + 0.5 || box.left < -0.5))
            .map(({ element }) => `${element.className} ${element.textContent}`.slice(0, 120)))
          assert.deepEqual(wide, [])
          assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360)
          await page.context().close()
        }
      })
    }

    it(`${view} keeps neighbours apart, left to right and right to left`, async () => {
      for (const rtl of [false, true]) {
        const page = await site.page({ rtl })
        await show(site, page, view)
        const touching = await page.evaluate(() => [...document.querySelectorAll('.shoal-why, .shoal-switch-row, .shoal-row')]
          .filter(row => {
            const button = row.querySelector('button, input').getBoundingClientRect()
            const texts = [...row.querySelectorAll('bdi, label, a')].filter(element => !element.closest('.visually-hidden'))
            return texts.flatMap(element => [...element.getClientRects()])
              .filter(text => text.top < button.bottom && text.bottom > button.top)
              .some(text => Math.max(text.left - button.right, button.left - text.right) < 3)
          })
          .map(row => row.textContent))
        assert.deepEqual(touching, [])
        await page.context().close()
      }
    })

    it(`${view} has readable text and big enough targets, light and dark`, async () => {
      for (const dark of [false, true]) {
        const page = await site.page({ dark })
        await show(site, page, view)
        const { faint, small } = await page.evaluate(measure, AA)
        assert.deepEqual(faint, [], dark ? 'dark' : 'light')
        assert.deepEqual(small, [])
        await page.context().close()
      }
    })

    it(`${view} shows where the keyboard is, in an order from top to bottom`, async () => {
      const page = await site.page()
      await show(site, page, view)
      await page.evaluate(() => {
        const start = Object.assign(document.createElement('span'), { tabIndex: -1 })
        document.body.prepend(start)
        start.focus()
      })
      const count = await page.locator('[class^=shoal] :is(button, input, textarea, a[href])').evaluateAll(
        found => new Set(found.filter(element => element.checkVisibility())).size)
      const seen = []
      for (let press = 0; press < count + 30 && seen.length < count; press++) {
        await page.keyboard.press('Tab')
        const at = await page.evaluate(() => {
          const element = document.activeElement
          if (!element?.closest('[class^=shoal]')) return null
          const style = getComputedStyle(element)
          return {
            what: `${element.className} ${element.textContent}`.slice(0, 80),
            top: element.getBoundingClientRect().top + scrollY,
            shown: style.outlineStyle !== 'none' || style.boxShadow !== 'none'
          }
        })
        if (at) seen.push(at)
      }
      assert.equal(seen.length, count, 'everything is reached')
      assert.deepEqual(seen.filter(({ shown }) => !shown), [])
      for (const [place, { top, what }] of seen.entries()) {
        assert.ok(place === 0 || top >= seen[place - 1].top - 40, `${what} comes after what is below it`)
      }
      await page.context().close()
    })

    it(`${view} gives everything a name`, async () => {
      const page = await site.page()
      await show(site, page, view)
      const controls = '[class^=shoal] :is(button, a, input, textarea)'
      const nameless = await page.evaluate(controls => [...document.querySelectorAll(controls)]
        .filter(element => ![element.getAttribute('aria-label'), element.textContent, element.labels?.[0]?.textContent]
          .some(text => text?.trim()))
        .map(element => element.className), controls)
      assert.deepEqual(nameless, [])
      const ids = await page.evaluate(() => [...document.querySelectorAll('[id]')].map(element => element.id))
      assert.equal(new Set(ids).size, ids.length, 'no id twice')
      const dangling = await page.evaluate(() => ['aria-describedby', 'aria-labelledby', 'aria-controls']
        .flatMap(name => [...document.querySelectorAll(`[${name}]`)].flatMap(found => found.getAttribute(name).split(' ')))
        .filter(id => !document.getElementById(id)))
      assert.deepEqual(dangling, [])
      await page.context().close()
    })
  }
})

/** Runs in the page: texts of ours with too little contrast (WCAG 1.4.3), targets under 24 pixels (2.5.8). */
function measure (least) {
  const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true })
  const colour = text => {
    canvas.clearRect(0, 0, 1, 1)
    canvas.fillStyle = text
    canvas.fillRect(0, 0, 1, 1)
    return canvas.getImageData(0, 0, 1, 1).data
  }
  const luminance = rgb => {
    const [r, g, b] = [...rgb].map(value => value / 255)
      .map(value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }
  const behind = element => {
    for (let at = element; at; at = at.parentElement) {
      const background = colour(getComputedStyle(at).backgroundColor)
      if (background[3] === 255) return background
    }
    return [255, 255, 255]
  }
  const ours = [...document.querySelectorAll('[class^=shoal], [class^=shoal] *')].filter(element => element.checkVisibility())
  const faint = ours
    .filter(element => [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim()))
    .filter(element => !element.closest('.visually-hidden'))
    .filter(element => {
      const [a, b] = [colour(getComputedStyle(element).color), behind(element)].map(luminance)
      return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) < least
    })
    .map(element => `${element.className} ${element.textContent}`.slice(0, 120))
  const small = ours
    .filter(element => element.matches('button, input'))
    .filter(element => element.getBoundingClientRect().height < 24 || element.getBoundingClientRect().width < 24)
    .map(element => `${element.className} ${element.textContent}`.slice(0, 120))
  return { faint, small }
}
