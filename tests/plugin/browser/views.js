/** The views that tests look at and screenshots are taken of. */
import { BAD, Control } from '../host/control.js'
import { TOKEN, answer } from './browser.js'
import { SECOND_VIDEO, TOPICS, VIDEO, adminRoutes, browserRoutes, viewerRoutes } from './answers.js'

/** Tabs of the administrators' page that it has wherever it is. */
export const TABS = ['overview', 'peers', 'models', 'lookup', 'settings']

export const VIEWS = ['watch page', 'browser suggestions', 'viewer page', 'for you', 'admin page', 'admin away']

/** The others of the administrators' page inside PeerTube. */
export const CONTROL_VIEWS = TABS.map(tab => `admin ${tab}`)

/** The same where the daemon itself serves it. */
export const ALONE_VIEWS = ['token', ...TABS].map(tab => `alone ${tab}`)

const SEED = '7b9fa1b2-4c1d-4e8f-9a10-0123456789ab'
const THIRD = '99999999-aaaa-4bbb-8ccc-dddddddddddd'
const LONG = 'Averyveryverylongwordwithoutanyplacetobreakitwhichhappensintitles'

/** Fill a page with one view, in its fullest state. */
export async function show (site, page, view) {
  site.reset()
  const tab = TABS.find(name => view === `admin ${name}`)
  if (tab) return inPeerTube(site, page, tab)
  if (view === 'watch page') await watch(site, page)
  else if (view === 'browser suggestions') await browser(site, page)
  else if (view === 'viewer page') await viewer(site, page)
  else if (view === 'for you') await ownList(site, page)
  else if (view === 'admin away') await away(site, page)
  else await admin(site, page)
}

async function watch (site, page) {
  site.routes.set('GET viewer/v1/invitation', () => ({ asks: true }))
  site.routes.set('GET why/v1/reasons', () => ({
    reasons: {
      [VIDEO]: { kind: 'co-engagement', text: '', users: 20, tags: [], words: [], share: 0.4 },
      [SECOND_VIDEO]: { kind: 'tags', text: '', users: null, tags: ['sailing', 'North Sea', LONG], words: [], share: 0.4 },
      [THIRD]: { kind: 'words', text: '', users: null, tags: [], words: ['knots', 'sea'], share: 0.9 }
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
  await page.locator('.shoal-invitation [role=status]').filter({ hasText: '?' }).waitFor()
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
  await page.locator('.shoal-section').nth(3).locator('button').click()
  await page.locator('.shoal-count').waitFor()
  site.routes.set('PUT viewer/v1/choice', () => undefined)
  await page.getByRole('switch').nth(1).click()
  await page.getByRole('alert').first().waitFor()
}

async function ownList (site, page) {
  viewerRoutes(site)
  const { data } = site.routes.get('GET recommendations/v1/videos')()
  site.routes.set('GET recommendations/v1/videos', () => (
    { state: 'ready', known: 3, data: data.map((video, place) => place === 2 ? { ...video, name: `A night at sea ${LONG}` } : video) }))
  await page.evaluate(() => window.shell.login({}))
  await page.evaluate(() => window.shell.menu())
  await page.evaluate(() => window.shell.open('/', 'shoal/for-you'))
  await page.locator('.shoal-video-cards .shoal-hide-toggle').first().click()
  await page.locator('.shoal-radio').first().waitFor()
  await page.getByRole('button', { name: /^(Hide this video|Masquer cette vidéo)$/ }).first().click()
  await page.locator('.shoal-hidden button').waitFor()
  await page.locator('.shoal-video-cards .shoal-hide-toggle').first().click()
}

async function admin (site, page) {
  adminRoutes(site)
  await page.evaluate(() => window.shell.login({ role: { id: 0, label: 'Administrator' } }))
  await page.evaluate(() => window.shell.menu())
  await page.evaluate(() => history.replaceState({}, '', '#settings'))
  await page.evaluate(() => window.shell.open('/', 'shoal'))
  await page.waitForFunction(() => document.querySelector('.shoal-section') && !document.querySelector('[aria-busy]'))
  await page.getByRole('textbox').nth(1).fill(`spam.example\nnot a host ${'x'.repeat(80)}`)
  await page.locator('.primary-button').click()
}

/** The administrators' page inside PeerTube while the daemon is away. */
async function away (site, page) {
  adminRoutes(site)
  site.routes.set('GET admin/v1/page', () => answer(502, { code: 'daemon-away', message: 'no answer', advice: 'Start it.' }))
  site.routes.set('GET admin/v1/diagnostics', () => ({
    ok: false,
    checks: [
      { id: 'settings', ok: true, message: 'The addresses of the daemon are usable.', advice: '' },
      { id: 'daemon', ok: false, message: '', advice: 'Start the daemon, and check its address in the settings, as PeerTube\'s machine or container sees it.' },
      { id: 'secret', ok: null, message: 'Not known before the daemon answers.', advice: '' },
      { id: 'related', ok: null, message: 'Viewers see PeerTube\'s own list until the daemon answers.', advice: '' }
    ]
  }))
  await page.evaluate(() => window.shell.login({ role: { id: 0, label: 'Administrator' } }))
  await page.evaluate(() => window.shell.open('/', 'shoal'))
  await rested(page)
}

/** The hosting page has more to show inside PeerTube, a member's where the daemon serves it: both are looked at. */
function withGroup (change) {
  const control = new Control()
  change(control.group)
  return control
}

/** Open a tab of the administrators' page inside PeerTube, in its fullest state. */
export async function inPeerTube (site, page, tab) {
  adminRoutes(site)
  site.control ??= withGroup(group => group.hosts())
  await page.evaluate(() => window.shell.login({ role: { id: 0, label: 'Administrator' } }))
  await page.evaluate(tab => history.replaceState({}, '', `${location.search}#${tab}`), tab)
  await page.evaluate(() => window.shell.open('/', 'shoal'))
  await fill(page, tab)
}

/** Open a tab of the page that the daemon serves, in its fullest state; `token` is the page before it is opened. */
export async function byDaemon (site, look, tab) {
  site.control ??= withGroup(group => group.isMember())
  const instances = ['reef', 'harbour', 'here', 'lagoon', 'delta'].map((name, place) => (
    `&instance=${name}.example,${name === 'here' ? new URL(site.url).port : 9731 + place},${TOKEN}`)).join('')
  const page = await site.alone({ ...look, fragment: tab === 'token' ? '' : `#token=${TOKEN}&tab=${tab}${instances}` })
  if (tab === 'token') await page.locator('input').waitFor()
  else await fill(page, tab)
  return page
}

/** Go to another tab of a page that is open, and to its fullest state. */
export async function turnTo (page, tab) {
  await page.evaluate(tab => { location.hash = tab }, tab)
  await fill(page, tab)
}

/** Open what is folded, ask what has to be asked. */
async function fill (page, tab) {
  await page.locator(`[role=tabpanel]:not([hidden])`).waitFor()
  await rested(page)
  if (tab === 'lookup') {
    await page.locator('[role=search] input').fill('boat')
    await page.locator('[role=search] button').click()
    await page.locator('.shoal-row button').first().click()
    await page.locator('.shoal-looked-up').waitFor()
  }
  if (tab === 'peers') {
    const row = page.locator(`tbody[data-host="${BAD}"]`)
    if (await row.locator('.shoal-below').isHidden()) await row.locator('.shoal-expand').click()
    await row.getByRole('button', { name: /^(Revert|Retirer|Annuler)/ }).first().click()
    await row.locator('.shoal-taking .primary-button').first().click()
    await page.locator('.shoal-confirm').waitFor()
  }
  // What is inside of one is there once it is open.
  for (let round = 0; round < 2; round++) {
    await page.evaluate(() => { for (const box of document.querySelectorAll('.shoal-panel:not([hidden]) details')) box.open = true })
    await rested(page)
  }
  await page.waitForFunction(() => document.querySelector('.shoal-chart')?.checkVisibility() !== true || document.querySelector('.shoal-chart > svg') !== null)
}

/** Wait until everything that is shown has loaded. */
export async function rested (page) {
  await page.waitForFunction(() => document.querySelector('.shoal-section, .shoal-block') && !document.querySelector('[aria-busy]'))
}
