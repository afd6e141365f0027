/**
 * Pictures of the three views, for eyes. `node browser/screenshots.js DIRECTORY` writes every variant there;
 * without a directory, the ones that the documentation shows go to docs/images.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { openSite } from './browser.js'
import { VIEWS, show } from './views.js'

const IMAGES = fileURLToPath(new URL('../../../docs/images/', import.meta.url))
const [directory] = process.argv.slice(2)
const variants = directory
  ? [
      { name: 'light', width: 1100 }, { name: 'dark', width: 1100, dark: true },
      { name: 'narrow', width: 360 }, { name: 'narrow-dark-fr', width: 360, dark: true, language: 'fr' },
      { name: 'rtl', width: 1100, rtl: true }
    ]
  : [{ name: '', width: 1000 }]

const site = await openSite()
mkdirSync(directory ?? IMAGES, { recursive: true })
for (const view of VIEWS) {
  for (const { name, ...look } of variants) {
    const page = await site.page({ height: 700, ...look })
    await show(site, page, view)
    const file = [view.replace(' ', '-'), name].filter(part => part !== '').join('-')
    await page.screenshot({ path: join(directory ?? IMAGES, `${file}.png`), fullPage: true })
    await page.context().close()
  }
}
await site.close()
