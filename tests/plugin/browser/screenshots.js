/** Pictures of the three views in every variant, for eyes: `node browser/screenshots.js DIRECTORY`. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'

import { openSite } from './browser.js'
import { VIEWS, show } from './views.js'

const VARIANTS = [
  { name: 'light', width: 1100 },
  { name: 'dark', width: 1100, dark: true },
  { name: 'narrow', width: 360 },
  { name: 'narrow-dark-fr', width: 360, dark: true, language: 'fr' },
  { name: 'rtl', width: 1100, rtl: true }
]

const [directory = 'screenshots'] = process.argv.slice(2)
mkdirSync(directory, { recursive: true })
const site = await openSite()
for (const view of VIEWS) {
  for (const { name, ...look } of VARIANTS) {
    const page = await site.page({ height: 700, ...look })
    await show(site, page, view)
    await page.screenshot({ path: join(directory, `${view.replace(' ', '-')}-${name}.png`), fullPage: true })
    await page.context().close()
  }
}
await site.close()
