/* global document, location */
/**
 * Milliseconds from the click on each tab until nothing loads any more, and how many of them the page itself worked:
 * `node admin-page.js '{"url", "token"}'`.
 */
import { existsSync } from 'node:fs'
import { chromium } from 'playwright-core'

const { url, token } = JSON.parse(process.argv[2])
const executablePath = process.env.SHOAL_CHROMIUM ?? ['/usr/bin/chromium-headless-shell', '/usr/bin/chromium'].find(existsSync)
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] })
const page = await browser.newPage({ viewport: { width: 1400, height: 1000 } })
const metrics = await page.context().newCDPSession(page)
await metrics.send('Performance.enable')
const worked = async () => 1000 * (await metrics.send('Performance.getMetrics')).metrics.find(({ name }) => name === 'TaskDuration').value
const found = {}
for (const tab of ['overview', 'peers', 'models', 'lookup', 'settings']) {
  found[tab] = await first(() => tab === 'overview'
    ? page.goto(`${url}/admin/#token=${token}`)
    : page.evaluate(tab => { location.hash = tab }, tab))
}
await browser.close()
process.stdout.write(JSON.stringify(found))

/** @param {() => Promise<unknown>} turn to a tab */
async function first (turn) {
  const [began, before] = [performance.now(), await worked()]
  await turn()
  await page.waitForFunction(() => document.querySelector('.shoal-panel:not([hidden])')?.childElementCount > 0 &&
    !document.querySelector('.shoal-panel:not([hidden]) [aria-busy]'), undefined, { polling: 20 })
  const ended = performance.now()
  return { took: Math.round(ended - began), worked: Math.round(await worked() - before) }
}
