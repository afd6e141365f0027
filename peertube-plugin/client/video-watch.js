import { Api, SENTENCES as PROBLEMS } from './lib/api.js'
import { uuidOf } from './lib/ids.js'
import { SENTENCES as REASONS } from './lib/reasons.js'
import { loadTexts } from './lib/texts.js'
import { Hiding, SENTENCES as HIDING } from './watch/hide.js'
import { WhyLines } from './watch/lines.js'

/**
 * Watch page: why each video of PeerTube's own list is suggested, and hiding it.
 *
 * @param {import('@peertube/peertube-types/client').RegisterClientOptions} options from PeerTube
 * @returns {Promise<void>} when ready
 */
export async function register ({ registerHook, peertubeHelpers }) {
  const api = new Api(peertubeHelpers)
  const [sayReason, say, sayProblem] = await Promise.all([
    loadTexts(peertubeHelpers, REASONS),
    loadTexts(peertubeHelpers, HIDING),
    loadTexts(peertubeHelpers, PROBLEMS)
  ])

  /** @type {Promise<boolean> | undefined} */
  let on
  const isOn = () => {
    // Asked when the first list is shown, and once: PeerTube reads its database for it.
    on ??= peertubeHelpers.getSettings().then(settings => settings?.['related-list'] !== false, () => true)
    return on
  }

  const hiding = new Hiding({ api, say, sayProblem, changed: () => lines.refresh() })
  const lines = new WhyLines({
    say: sayReason,
    reasonsOf: async video => {
      if (!await isOn()) return null
      return (await api.plugin('GET', `why/v1/reasons?video=${video}`))?.reasons ?? {}
    },
    controlsFor: (miniature, video) => peertubeHelpers.isLoggedIn() ? hiding.controls(miniature, video) : null,
    markHidden: (miniature, video) => hiding.mark(miniature, video)
  })

  registerHook({
    target: 'action:video-watch.video.loaded',
    handler: (/** @type {{ video?: { uuid?: string } }} */ { video }) => {
      const uuid = uuidOf(video?.uuid ?? '')
      if (!uuid) return

      if (!hiding.live.isConnected) document.body.append(hiding.live)
      lines.show(uuid)
    }
  })

  registerHook({
    target: 'action:router.navigation-end',
    handler: (/** @type {{ path?: string }} */ { path }) => {
      if (!/^\/(w|videos\/watch)\//.test(path ?? '')) lines.stop()
    }
  })
}
