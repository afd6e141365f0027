import { translate } from './lib/texts.js'

const ADMINISTRATOR = 0

export const SENTENCES = {
  viewerTitle: 'Suggestions',
  forYouTitle: 'For you',
  adminTitle: 'Suggestions (Shoal)'
}

/**
 * On every page: where the plugin's three pages are. The pages themselves load when they are opened.
 *
 * @param {import('@peertube/peertube-types/client').RegisterClientOptions} options from PeerTube
 * @returns {Promise<void>} when ready
 */
export async function register ({ registerHook, registerClientRoute, peertubeHelpers }) {
  const [viewerTitle, forYouTitle, adminTitle] = await Promise.all(
    [SENTENCES.viewerTitle, SENTENCES.forYouTitle, SENTENCES.adminTitle].map(text => translate(peertubeHelpers, text)))

  const mounts = (/** @type {string} */ file) => async (/** @type {{ rootEl: HTMLElement }} */ { rootEl }) => {
    // While its files load.
    rootEl.replaceChildren(Object.assign(document.createElement('div'), { className: 'shoal-skeleton margin-content' }))
    const page = await import(file)
    await page.show(peertubeHelpers, rootEl)
  }

  registerClientRoute({
    route: 'shoal',
    parentRoute: '/my-account',
    menuItem: { label: viewerTitle },
    title: viewerTitle,
    onMount: mounts('./viewer/page.js')
  })

  registerClientRoute({
    route: 'shoal/for-you',
    title: forYouTitle,
    onMount: mounts('./viewer/for-you.js')
  })

  registerClientRoute({
    route: 'shoal',
    title: adminTitle,
    onMount: mounts('./admin/page.js')
  })

  registerHook({
    target: 'filter:left-menu.links.create.result',
    handler: (/** @type {MenuSection[]} */ sections) => {
      if (!peertubeHelpers.isLoggedIn()) return sections

      const added = new Map([['quick-access', { path: '/p/shoal/for-you', label: forYouTitle, icon: 'like', iconClass: '' }]])
      if (peertubeHelpers.getUser()?.role?.id === ADMINISTRATOR) {
        added.set('admin', { path: '/p/shoal', label: adminTitle, icon: 'trending', iconClass: '' })
      }
      return sections.map(section => {
        const link = added.get(section.key)
        return link ? { ...section, links: [...section.links, link] } : section
      })
    }
  })
}

/** @typedef {{ key: string, links: object[] }} MenuSection */
