/** What axe-core finds on a page: rules of WCAG 2.2 A and AA, and its best practices. */
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js')

/**
 * @param {any} page of the browser
 * @param {string} within what is looked at; the rest is PeerTube's
 * @returns {Promise<string[]>} each violation with the elements it is about
 */
export async function axeViolations (page, within) {
  // Not as a script of the page: its policy allows none from elsewhere.
  if (!await page.evaluate(() => 'axe' in window)) await page.evaluate(await readFile(AXE, 'utf8'))
  return page.evaluate(async within => {
    const { violations } = await window.axe.run(within, { resultTypes: ['violations'] })
    return violations.flatMap(({ id, help, nodes }) => nodes.map(({ target, html }) => `${id} (${help}): ${target.join(' ')} ${html.slice(0, 200)}`))
  }, within)
}
