/**
 * Rank in headless Chromium: `node bench/ranking.js CASES` reads `[{ file, histories }]`, files in base 64, and prints
 * `[{ lists, times }]`: rows of the ten best for each history, and milliseconds for opening the file and ranking once.
 */
import { readFileSync } from 'node:fs'
import { chromium } from 'playwright-core'

const CHROMIUM = process.env.SHOAL_CHROMIUM ?? '/usr/bin/chromium'
const SOURCE = readFileSync(new URL('../../../peertube-plugin/client/watch/vectors.js', import.meta.url), 'utf8')

const [path = ''] = process.argv.slice(2)
const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-gpu'] })
const page = await browser.newPage()
const measured = []
for (const { file, histories } of JSON.parse(readFileSync(path, 'utf8'))) {
  // A page for each: as at a first visit, nothing is compiled yet.
  await page.goto('about:blank')
  measured.push(await page.evaluate(async ({ source, file, histories }) => {
    const { parseVectors, rank } = await import(`data:text/javascript,${encodeURIComponent(source)}`)
    const content = Uint8Array.from(atob(file), letter => letter.charCodeAt(0)).buffer
    const times = []
    const lists = histories.map(history => {
      const begun = performance.now()
      const found = rank(parseVectors(content), history, 10)
      times.push(performance.now() - begun)
      return found.map(({ row, score, via }) => [row, score, via])
    })
    return { lists, times }
  }, { source: SOURCE, file, histories }))
}
await browser.close()
process.stdout.write(JSON.stringify(measured))
