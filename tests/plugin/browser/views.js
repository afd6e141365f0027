/** The views that tests look at and screenshots are taken of. */
import { SECOND_VIDEO, TOPICS, VIDEO, adminRoutes, browserRoutes, viewerRoutes } from './answers.js'

export const VIEWS = ['watch page', 'browser suggestions', 'viewer page', 'admin page']

const SEED = '7b9fa1b2-4c1d-4e8f-9a10-0123456789ab'
const THIRD = '99999999-aaaa-4bbb-8ccc-dddddddddddd'
const LONG = 'Averyveryverylongwordwithoutanyplacetobreakitwhichhappensintitles'

/** Fill a page with one view, in its fullest state. */
export async function show (site, page, view) {
  site.reset()
  if (view === 'watch page') await watch(site, page)
  else if (view === 'browser suggestions') await browser(site, page)
  else if (view === 'viewer page') await viewer(site, page)
  else await admin(site, page)
}

async function watch (site, page) {
  site.routes.set('GET why/v1/reasons', () => ({
    reasons: {
      [VIDEO]: { kind: 'co-engagement', text: '', users: 23, tags: [] },
      [SECOND_VIDEO]: { kind: 'tags', text: '', users: null, tags: ['sailing', 'North Sea', LONG] },
      [THIRD]: { kind: 'channel', text: '', users: null, tags: [] }
    }
  }))
  await page.evaluate(() => window.shell.login({}))
  await page.evaluate(uuid => window.shell.watch({ uuid }), SEED)
  await page.evaluate(videos => window.shell.list(videos), [
    { uuid: VIDEO, title: 'Crossing the Channel in a small boat', channel: 'Sailing home' },
    { uuid: SECOND_VIDEO, title: `Tides and winds ${LONG}`, channel: 'Weather' },
    { uuid: THIRD, title: 'Knots for beginners', channel: 'Sailing home' }
  ])
  await page.waitForFunction(() => document.querySelectorAll('.shoal-why').length === 3)
  await page.locator('.shoal-hide-toggle').first().click()
}

async function browser (site, page) {
  const videos = TOPICS.map((video, place) => place === 3 ? { ...video, name: `A night at sea ${LONG}` } : video)
  browserRoutes(site, videos)
  for (const { uuid, name } of videos.slice(0, 2)) {
    await page.evaluate(video => window.shell.watch(video), { uuid, name: `${name}, ${LONG.slice(0, 30)}`, duration: 100 })
    await page.evaluate(uuid => window.shell.played(uuid, 60), uuid)
    // The next note is taken only of what has been played.
    await page.waitForFunction(uuid => localStorage.getItem('shoal-browser-notes')?.includes(uuid), uuid)
  }
  await page.evaluate(uuid => window.shell.watch({ uuid, name: 'Another video', duration: 100 }), SEED)
  await page.evaluate(videos => window.shell.list(videos), [{ uuid: VIDEO, title: 'Something else', channel: 'Weather' }])
  await page.locator('.shoal-browser').waitFor()
}

async function viewer (site, page) {
  viewerRoutes(site)
  await page.evaluate(() => window.shell.login({ videoChannels: [{}] }))
  await page.evaluate(() => window.shell.open('/my-account', 'shoal'))
  await page.waitForFunction(() => document.querySelector('.shoal-section') && !document.querySelector('[aria-busy]'))
  await page.locator('.shoal-section').nth(2).locator('button').click()
  await page.locator('.shoal-count').waitFor()
  site.routes.set('PUT viewer/v1/choice', () => undefined)
  await page.getByRole('switch').nth(1).click()
  await page.getByRole('alert').first().waitFor()
}

async function admin (site, page) {
  adminRoutes(site)
  await page.evaluate(() => window.shell.login({ role: { id: 0, label: 'Administrator' } }))
  await page.evaluate(() => window.shell.menu())
  await page.evaluate(() => window.shell.open('/', 'shoal'))
  await page.waitForFunction(() => document.querySelector('.shoal-section') && !document.querySelector('[aria-busy]'))
  await page.getByRole('textbox').nth(1).fill(`spam.example\nnot a host ${'x'.repeat(80)}`)
  await page.locator('.primary-button').click()
}
