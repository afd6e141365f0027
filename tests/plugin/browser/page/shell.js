// What PeerTube's client does for plugins, as far as this plugin uses it: loads scripts by scope, runs hooks, mounts
// routes, and gives helpers. Tests drive it through `window.shell`.

const hooks = new Map()
const routes = { '/': new Map(), '/my-account': new Map() }
const scopes = new Map()
const notices = []
const state = { user: null, language: new URLSearchParams(location.search).get('language') ?? 'en', helpers: null, videos: [] }

const { base, name, scripts } = await (await fetch('/page/plugin.json')).json()

const translations = fetch(`/plugins/translations/${state.language}.json`).then(answer => answer.json())

const helpers = {
  getBaseStaticRoute: () => `${base}static`,
  getBaseRouterRoute: () => `${base}router`,
  getBaseWebSocketRoute: () => `${base}ws`,
  getBasePluginClientPath: () => '/p',
  isLoggedIn: () => state.user !== null,
  getAuthHeader: () => state.user ? { Authorization: `Bearer ${state.user.token}` } : undefined,
  getSettings: async () => (await (await fetch(`/api/v1/plugins/${name}/public-settings`)).json()).publicSettings,
  getUser: () => state.user,
  getServerConfig: async () => ({}),
  notifier: Object.fromEntries(['info', 'error', 'success'].map(kind => [kind, text => notices.push({ kind, text })])),
  showModal: () => { throw new Error('not offered here') },
  markdownRenderer: {},
  translate: async text => (await translations)[name]?.[text] ?? text
}

function registerHook ({ target, handler }) {
  hooks.set(target, [...hooks.get(target) ?? [], handler])
}

function registerClientRoute (route) {
  routes[route.parentRoute ?? '/'].set(route.route, route)
}

function load (scope) {
  if (!scopes.has(scope)) {
    scopes.set(scope, Promise.all(scripts.filter(script => script.scopes.includes(scope)).map(async ({ script }) => {
      const module = await import(`${base}client-scripts/${script}`)
      await module.register({ registerHook, registerClientRoute, peertubeHelpers: helpers, doAction: () => {} })
    })))
  }
  return scopes.get(scope)
}

async function run (target, value) {
  for (const handler of hooks.get(target) ?? []) value = await handler(value) ?? value
  return value
}

function tag (markup) {
  return document.createRange().createContextualFragment(markup).firstElementChild
}

/** One suggestion, shaped like PeerTube's. */
function miniature ({ uuid, href, title, channel, page }) {
  const element = tag(`<my-video-miniature><div class="video-miniature">
    <my-video-thumbnail><a class="video-thumbnail" tabindex="-1"></a></my-video-thumbnail>
    <div class="video-info">
      <div class="owner"><my-link class="owner-label"><a></a></my-link></div>
      <div class="video-name-container"><my-link class="video-name"><a></a></my-link><div class="video-actions"></div></div>
      <div class="date-and-views"><span class="views">12 views</span></div>
    </div></div></my-video-miniature>`)
  for (const link of element.querySelectorAll('.video-thumbnail, .video-name a')) link.href = href ?? `/w/${uuid}`
  element.querySelector('.video-thumbnail').setAttribute('aria-label', title)
  element.querySelector('.video-name a').textContent = title
  element.querySelector('.owner-label a').textContent = channel ?? 'A channel'
  element.querySelector('.owner-label a').href = `/c/${page ?? uuid}/videos`
  return element
}

function root (...children) {
  const content = document.querySelector('#content')
  content.replaceChildren(...children)
  return content
}

window.shell = {
  notices,

  login (user) {
    state.user = { id: 2, username: 'viewer', token: 'token', role: { id: 2, label: 'User' }, videosHistoryEnabled: true, videoChannels: [], ...user }
  },

  logout () {
    state.user = null
  },

  /** Play a video without being logged in, as far as PeerTube's player notes it in the browser. */
  played (uuid, second, date = new Date().toISOString()) {
    const key = 'peertube-videojs-video-watch-history'
    const history = JSON.parse(localStorage.getItem(key) ?? '{}')
    localStorage.setItem(key, JSON.stringify({ ...history, [uuid]: { duration: second, date } }))
  },

  /** Show a watch page. `anchor: false` leaves PeerTube's list out. */
  async watch ({ uuid, name, duration, anchor = true, row = false }) {
    history.pushState({}, '', `/w/${uuid}${location.search}`)
    await load('common')
    await load('video-watch')
    const page = tag(`<div class="margin-content watch"><div><div class="player"></div><h1>A video</h1></div>
      <aside>${anchor ? `<my-recommended-videos><div class="other-videos${row ? ' display-as-row' : ''}"></div></my-recommended-videos>` : ''}</aside></div>`)
    root(page)
    await run('action:router.navigation-end', { path: `/w/${uuid}` })
    await run('action:video-watch.video.loaded', { video: { uuid, name, duration } })
  },

  /** Fill "Other videos", as PeerTube does after its search request. */
  list (videos) {
    state.videos = videos
    document.querySelector('.other-videos')?.replaceChildren(tag('<h2>Other videos</h2>'), ...videos.map(miniature))
  },

  /** Give a suggestion's links another address, as a component that is used again does. */
  relink (place, href) {
    for (const link of document.querySelectorAll('my-video-miniature')[place].querySelectorAll('.video-thumbnail, .video-name a')) link.href = href
  },

  async leave () {
    root(tag('<p>Another page</p>'))
    history.pushState({}, '', '/videos/browse')
    await run('action:router.navigation-end', { path: '/videos/browse' })
  },

  /** Open one of the plugin's own pages. */
  async open (parentRoute, route) {
    await load('common')
    if (parentRoute === '/my-account') await load('my-account')
    const mount = document.createElement('div')
    if (parentRoute === '/my-account') {
      const frame = tag('<div><div class="margin-content"><h1>My account</h1></div><div class="margin-content pb-5"></div></div>')
      frame.lastElementChild.append(mount)
      root(frame)
    } else {
      root(mount)
    }
    await routes[parentRoute].get(route).onMount({ rootEl: mount })
  },

  /** Draw the left menu with what plugins add. */
  async menu () {
    await load('common')
    const sections = state.user?.role.id === 0 ? [{ key: 'admin', title: 'Administration', links: [] }] : [{ key: 'quick-access', title: '', links: [] }]
    const filled = await run('filter:left-menu.links.create.result', sections)
    const menu = document.querySelector('#left-menu')
    const items = document.createElement('ul')
    for (const link of filled.flatMap(section => section.links)) {
      const item = tag('<li><a></a></li>')
      item.firstElementChild.href = link.path
      item.firstElementChild.textContent = link.label
      items.append(item)
    }
    menu.replaceChildren(items)
    return filled
  },

  routes: () => Object.fromEntries(Object.entries(routes).map(([parent, found]) => [parent, [...found.keys()]]))
}
