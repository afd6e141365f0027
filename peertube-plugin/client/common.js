import { translate } from './lib/texts.js'

const ADMINISTRATOR = 0

export const SENTENCES = {
  viewerTitle: 'Suggestions',
  adminTitle: 'Suggestions (Shoal)'
}

/**
 * On every page: where the plugin's two pages are. The pages themselves load when they are opened.
 *
 * @param {import('@peertube/peertube-types/client').RegisterClientOptions} options from PeerTube
 * @returns {Promise<void>} when ready
 */
export async function register ({ registerHook, registerClientRoute, peertubeHelpers }) {
  const [viewerTitle, adminTitle] = await Promise.all([
    translate(peertubeHelpers, SENTENCES.viewerTitle),
    translate(peertubeHelpers, SENTENCES.adminTitle)
  ])

  registerClientRoute({
    route: 'shoal',
    parentRoute: '/my-account',
    menuItem: { label: viewerTitle },
    title: viewerTitle,
    onMount: async ({ rootEl }) => {
      const page = await import('./viewer/page.js')
      await page.show(peertubeHelpers, rootEl)
    }
  })

  registerClientRoute({
    route: 'shoal',
    title: adminTitle,
    onMount: async ({ rootEl }) => {
      const page = await import('./admin/page.js')
      await page.show(peertubeHelpers, rootEl)
    }
  })

  registerHook({
    target: 'filter:left-menu.links.create.result',
    handler: (/** @type {MenuSection[]} */ sections) => {
      if (peertubeHelpers.getUser()?.role?.id !== ADMINISTRATOR) return sections

      const link = { path: '/p/shoal', label: adminTitle, icon: 'trending', iconClass: '' }
      return sections.map(section => section.key === 'admin'
        ? { ...section, links: [...section.links, link] }
        : section)
    }
  })
}

/** @typedef {{ key: string, links: object[] }} MenuSection */
