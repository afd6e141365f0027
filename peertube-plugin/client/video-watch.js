import { Api, SENTENCES as PROBLEMS } from './lib/api.js'
import { uuidOf } from './lib/ids.js'
import { SENTENCES as REASONS } from './lib/reasons.js'
import { loadTexts } from './lib/texts.js'
import { Counting } from './watch/counting.js'
import { Hiding, SENTENCES as HIDING } from './watch/hide.js'
import { Invitation, SENTENCES as INVITATION } from './watch/invitation.js'
import { WhyLines } from './watch/lines.js'
import { OwnBlock, SENTENCES as OWN_BLOCK } from './watch/own-block.js'

/**
 * Watch page: why each video of PeerTube's own list is suggested, hiding it, the invitation to take
 * part, and suggestions made in the browser.
 *
 * @param {import('@peertube/peertube-types/client').RegisterClientOptions} options from PeerTube
 * @returns {Promise<void>} when ready
 */
export async function register ({ registerHook, peertubeHelpers }) {
  const api = new Api(peertubeHelpers)
  const [sayReason, say, sayInvitation, sayOwnBlock, sayProblem] = await Promise.all([
    loadTexts(peertubeHelpers, REASONS),
    loadTexts(peertubeHelpers, HIDING),
    loadTexts(peertubeHelpers, INVITATION),
    loadTexts(peertubeHelpers, OWN_BLOCK),
    loadTexts(peertubeHelpers, PROBLEMS)
  ])

  /** @type {Promise<Record<string, unknown>> | undefined} */
  let asked
  const settings = () => {
    // Asked when they are needed, and once: PeerTube reads its database for it.
    asked ??= peertubeHelpers.getSettings().then(found => found ?? {}, () => ({}))
    return asked
  }

  /** @type {import('./watch/browser.js').BrowserSuggestions | undefined} */
  let browser
  let visit = 0
  const suggestInBrowser = async (/** @type {import('./watch/browser.js').Watched} */ video) => {
    visit += 1
    browser?.stop()
    const root = document.querySelector('my-recommended-videos')
    if (!root || peertubeHelpers.isLoggedIn()) return

    const current = visit
    const on = (await settings())['browser-suggestions']
    if (on !== true && on !== 'true') return
    const { BrowserSuggestions, SENTENCES } = await import('./watch/browser.js')
    browser ??= new BrowserSuggestions({ api, say: await loadTexts(peertubeHelpers, SENTENCES), sayProblem })
    if (current === visit) await browser.show(video, root)
  }

  const counting = new Counting(`${peertubeHelpers.getBaseRouterRoute()}/effects/v1/count`)
  const ownBlock = new OwnBlock({ api, say: sayOwnBlock, sayReason })
  const hiding = new Hiding({ api, say, sayProblem, changed: () => lines.refresh(), hid: () => counting.hid() })
  const invitation = new Invitation({
    api,
    say: sayInvitation,
    sayProblem,
    user: () => peertubeHelpers.isLoggedIn() ? peertubeHelpers.getUser()?.id : undefined
  })
  const lines = new WhyLines({
    say: sayReason,
    reasonsOf: async video => {
      if ((await settings())['related-list'] === false) return null
      return (await api.plugin('GET', `why/v1/reasons?video=${video}`))?.reasons ?? {}
    },
    explained: root => { void invitation.show(root) },
    controlsFor: (miniature, video) => peertubeHelpers.isLoggedIn() ? hiding.controls(miniature, video) : null,
    markHidden: (miniature, video) => hiding.mark(miniature, video)
  })

  registerHook({
    target: 'action:video-watch.video.loaded',
    handler: (/** @type {{ video?: { uuid?: string, name?: string, duration?: number } }} */ { video }) => {
      const uuid = uuidOf(video?.uuid ?? '')
      if (!uuid) return

      if (!hiding.live.isConnected) document.body.append(hiding.live)
      invitation.stop()
      counting.show(uuid)
      void ownBlock.show(uuid)
      lines.show(uuid)
      void suggestInBrowser({ uuid, name: video?.name, duration: video?.duration })
    }
  })

  registerHook({
    target: 'action:router.navigation-end',
    handler: (/** @type {{ path?: string }} */ { path }) => {
      if (/^\/(w|videos\/watch)\//.test(path ?? '')) return
      counting.stop()
      ownBlock.stop()
      lines.stop()
      invitation.stop()
      visit += 1
      browser?.stop()
    }
  })
}
