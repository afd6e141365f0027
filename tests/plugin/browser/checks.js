/** What must hold however a page is looked at. Each takes a page and gives back what does not. */

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

const AA = 4.5
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/** What sticks out of the window, and whether the page scrolls sideways. */
export async function tooWide (page) {
  const wide = await page.evaluate(() => [...document.querySelectorAll('body *')]
    .filter(element => !element.closest('.visually-hidden') && element.checkVisibility())
    // What scrolls within the page sticks out of nothing.
    .filter(element => !element.parentElement.closest('.shoal-tabs'))
    .map(element => ({ element, box: element.getBoundingClientRect() }))
    .filter(({ box }) => box.width > 0 && (box.right > innerWidth + 0.5 || box.left < -0.5))
    .map(({ element }) => `${element.className} ${element.textContent}`.slice(0, 120)))
  const [width, inner] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth])
  return width === inner ? wide : [...wide, `the page is ${width} pixels wide`]
}

/** Buttons and switches that touch the text beside them. */
export function touching (page) {
  return page.evaluate(() => [...document.querySelectorAll('.shoal-why, .shoal-switch-row, .shoal-row')]
    .filter(row => row.checkVisibility())
    .filter(row => {
      const button = row.querySelector('button, input').getBoundingClientRect()
      const texts = [...row.querySelectorAll('bdi, label, a')].filter(element => !element.closest('.visually-hidden'))
      return texts.flatMap(element => [...element.getClientRects()])
        .filter(text => text.top < button.bottom && text.bottom > button.top)
        .some(text => Math.max(text.left - button.right, button.left - text.right) < 3)
    })
    .map(row => row.textContent))
}

/** Texts with too little contrast (WCAG 1.4.3) and targets under 24 pixels (2.5.8), of what is ours. */
export function unreadable (page, ours = '[class^=shoal]') {
  return page.evaluate(measure, { least: AA, ours })
}

/** Controls that Tab does not reach, that do not show the keyboard's place, or that come out of order. */
export async function lostKeyboard (page, ours = '[class^=shoal]') {
  await page.evaluate(() => {
    document.querySelector('#before')?.remove()
    const start = Object.assign(document.createElement('span'), { tabIndex: -1, id: 'before' })
    document.body.prepend(start)
    start.focus()
  })
  // Of radio buttons that belong together, Tab reaches the one that is chosen.
  const controls = `:is(${ours}) :is(button, input, textarea, select, summary, pre, a[href]):not([tabindex="-1"])` +
    ':not([type=radio]:not(:checked))'
  const count = await page.locator(controls).evaluateAll(
    found => new Set(found.filter(element => element.checkVisibility())).size)
  const seen = []
  // A field for a time has several places to stop at.
  const reached = () => seen.filter(({ again }) => !again).length
  for (let press = 0; press < count + 30 && reached() < count; press++) {
    await page.keyboard.press('Tab')
    const at = await page.evaluate(ours => {
      const element = document.activeElement
      if (!element?.closest(ours)) return null
      const style = getComputedStyle(element)
      const again = element === window.reachedBefore
      window.reachedBefore = element
      return {
        again,
        what: `${element.className} ${element.textContent}`.slice(0, 80),
        top: element.getBoundingClientRect().top + scrollY,
        shown: style.outlineStyle !== 'none' || style.boxShadow !== 'none'
      }
    }, ours)
    if (at) seen.push(at)
  }
  return [
    ...reached() === count ? [] : [`${reached()} of ${count} are reached`],
    ...seen.filter(({ shown }) => !shown).map(({ what }) => `${what} does not show that it has the keyboard`),
    ...seen.filter(({ top }, place) => place > 0 && top < seen[place - 1].top - 40)
      .map(({ what }) => `${what} comes after what is below it`)
  ]
}

/** Controls without a name, ids that are there twice, references that lead nowhere. */
export function nameless (page, ours = '[class^=shoal]') {
  return page.evaluate(ours => {
    const controls = [...document.querySelectorAll(`:is(${ours}) :is(button, a, input, textarea, select)`)]
      .filter(element => ![element.getAttribute('aria-label'), element.textContent, element.labels?.[0]?.textContent]
        .some(text => text?.trim()))
      .map(element => `${element.tagName} ${element.className} has no name`)
    const ids = [...document.querySelectorAll('[id]')].map(element => element.id)
    const dangling = ['aria-describedby', 'aria-labelledby', 'aria-controls']
      .flatMap(name => [...document.querySelectorAll(`[${name}]`)].flatMap(found => found.getAttribute(name).split(' ')))
      .filter(id => !document.getElementById(id))
    return [...controls, ...ids.filter((id, place) => ids.indexOf(id) !== place), ...dangling]
  }, ours)
}

/** What axe-core finds wrong with what is ours. */
export async function violations (page, ours = '[class^=shoal]') {
  await page.evaluate(AXE)
  const { violations, passes } = await page.evaluate(ours => window.axe.run([...document.querySelectorAll(ours)]), ours)
  if (passes.length === 0) throw new Error('axe-core looked at nothing')
  return violations.flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html.slice(0, 150)} ${failureSummary}`))
}

/** Runs in the page. */
function measure ({ least, ours }) {
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
  const found = [...document.querySelectorAll(`:is(${ours}), :is(${ours}) *`)].filter(element => element.checkVisibility())
  const faint = found
    .filter(element => [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim()))
    .filter(element => !element.closest('.visually-hidden') && !element.closest('title, desc, option'))
    .filter(element => {
      const style = getComputedStyle(element)
      const paint = element instanceof SVGElement ? style.fill : style.color
      const [a, b] = [colour(paint), behind(element)].map(luminance)
      return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) < least
    })
    .map(element => `${element.getAttribute('class')} ${element.textContent}`.slice(0, 120))
  const small = found
    .filter(element => element.matches('button, input, select, summary'))
    .filter(element => element.getBoundingClientRect().height < 24 || element.getBoundingClientRect().width < 24)
    .map(element => `${element.className} ${element.textContent}`.slice(0, 120))
  return { faint, small }
}
