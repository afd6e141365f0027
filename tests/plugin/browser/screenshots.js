/** Pictures of the views in every variant, for eyes: `node browser/screenshots.js DIRECTORY [PART OF A VIEW'S NAME]`. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'

import { openSite } from './browser.js'
import { ALONE_VIEWS, CONTROL_VIEWS, VIEWS, byDaemon, show } from './views.js'

const VARIANTS = [
  { name: 'light', width: 1100 },
  { name: 'dark', width: 1100, dark: true },
  { name: 'narrow', width: 360 },
  { name: 'narrow-dark-fr', width: 360, dark: true, language: 'fr' },
  { name: 'rtl', width: 1100, rtl: true }
]

const [directory = 'screenshots', wanted = ''] = process.argv.slice(2)
mkdirSync(directory, { recursive: true })
const site = await openSite()
for (const view of [...VIEWS, ...CONTROL_VIEWS, ...ALONE_VIEWS].filter(name => name.includes(wanted))) {
  for (const { name, ...look } of VARIANTS) {
    const page = await opened(view, { height: 700, ...look })
    await page.screenshot({ path: join(directory, `${view.replace(' ', '-')}-${name}.png`), fullPage: true })
    await page.context().close()
  }
}
await site.close()

async function opened (view, look) {
  if (ALONE_VIEWS.includes(view)) {
    site.reset()
    return byDaemon(site, look, view.replace('alone ', ''))
  }
  const page = await site.page(look)
  await show(site, page, view)
  return page
}
