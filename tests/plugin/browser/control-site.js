/** The administrators' page inside PeerTube before each test, with a daemon that answers from a story behind it. */
import { after, before, beforeEach } from 'node:test'

import { Control } from '../host/control.js'
import { adminRoutes } from './answers.js'
import { openSite } from './browser.js'
import { rested } from './views.js'

export const ADMIN = { role: { id: 0, label: 'Administrator' } }
/** Where the plugin's routes have the daemon's admin API. */
export const AT = 'admin/v1/control/'

/** Call it inside of a `describe`: what it gives is that of the test that runs. */
export function controlSite () {
  const here = {
    /** @type {Awaited<ReturnType<typeof openSite>>} */
    site: undefined,
    /** @type {any} */
    page: undefined,
    /** @type {Control} */
    control: undefined,
    /** Open the page at a tab. */
    open: async (tab = '', user = ADMIN) => {
      await here.page.evaluate(user => user ? window.shell.login(user) : window.shell.logout(), user)
      await here.page.evaluate(tab => history.replaceState({}, '', `${location.search}#${tab}`), tab)
      await here.page.evaluate(() => window.shell.open('/', 'shoal'))
      if (user?.role.id === 0) await rested(here.page)
    },
    region: name => here.page.getByRole('region', { name, exact: true }),
    tab: name => here.page.getByRole('tab', { name }),
    dialog: () => here.page.getByRole('dialog'),
    /** The row of a peer with what is below it. */
    peer: host => here.page.locator(`tbody[data-host="${host}"]`),
    /** The same, opened. */
    opened: async host => {
      const row = here.peer(host)
      if (await row.getByRole('button', { expanded: false }).count()) await row.getByRole('button').first().click()
      return row
    },
    focused: () => here.page.evaluate(() => document.activeElement?.textContent),
    said: text => here.page.getByRole('status').filter({ hasText: text }).first().waitFor({ state: 'attached' }),
    /** What was ordered so far. */
    orders: () => here.control.asked.filter(({ method }) => method === 'POST').map(({ path, body }) => [path, body])
  }
  before(async () => { here.site = await openSite() })
  after(() => here.site?.close())
  beforeEach(async () => {
    await here.page?.context().close()
    here.site.reset()
    adminRoutes(here.site)
    here.control = here.site.control = new Control()
    here.page = await here.site.page()
  })
  return here
}
