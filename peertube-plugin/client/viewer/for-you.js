import { listIn } from '../lib/api.js'
import { actionButton, problemLine } from '../lib/controls.js'
import { el } from '../lib/dom.js'
import { Page } from '../lib/page.js'
import { reasonText, SENTENCES as REASONS } from '../lib/reasons.js'
import { loadTexts } from '../lib/texts.js'
import { Hiding, SENTENCES as HIDING } from '../watch/hide.js'
import { SENTENCES as LINES, whyLink } from '../watch/lines.js'
import { dial } from './discovery.js'
import { SENTENCES as VIEWER } from './sentences.js'
import { withdraw } from './withdraw.js'

export const SENTENCES = {
  forYou: 'For you',
  rests: 'Chosen from what you liked and watched on this instance.',
  meaning: 'What is known, and what is sent',
  off: 'You get suggestions here once you want them. For that two things are switched on:',
  turnOn: 'Switch both on',
  little: 'So far your list rests on little, and shows much of what is popular here. It begins to fit with about five videos that you liked or watched at least half of. They are read every few hours.',
  none: 'There is nothing left that fits and that you have not watched or hidden. Choose “Explore”, or come back when there are new videos.',
  noModel: 'Suggestions are being prepared on this instance. Come back tomorrow.',
  less: 'Less like this',
  lessNamed: 'Less like this: hide {title} or its channel from my suggestions'
}

/**
 * @typedef {import('../lib/page.js').Page<keyof typeof SENTENCES | keyof typeof VIEWER>} ForYouPage
 * @typedef {{ uuid: string, shortUUID?: string, name: string, thumbnailPath?: string, reason?: import('../lib/reasons.js').Reason,
 *             channel?: { name: string, displayName: string, host: string } }} Video as PeerTube gives it, with the reason
 */

const FEW = 5

/**
 * Show a viewer's own list.
 *
 * @param {import('@peertube/peertube-types/client').RegisterClientHelpers} helpers PeerTube's helpers
 * @param {HTMLElement} rootEl where it goes
 * @returns {Promise<void>} when its frame is shown; the list loads afterwards
 */
export async function show (helpers, rootEl) {
  const [page, sayReason, sayHiding] = await Promise.all([
    Page.open(helpers, { ...VIEWER, ...SENTENCES }),
    loadTexts(helpers, { ...REASONS, ...LINES }),
    loadTexts(helpers, { ...HIDING, hide: SENTENCES.less, hideNamed: SENTENCES.lessNamed })
  ])
  const { api, say, sayProblem } = page
  const title = el('h1', { class: 'title-page', tabindex: '-1' }, say('forYou'))
  const frame = el('div', { class: 'margin-content shoal-page shoal-for-you pb-5' }, title)
  rootEl.replaceChildren(frame)
  if (!helpers.isLoggedIn()) {
    frame.append(el('p', {}, say('loggedOut')))
    return
  }

  /** @type {(() => void)[]} */
  let cards = []
  const hiding = new Hiding({ api, say: sayHiding, sayProblem, changed: () => cards.forEach(refresh => refresh()) })

  /** @type {ReturnType<typeof page.loaded>} */
  const list = page.loaded(
    async () => {
      const answer = await api.plugin('GET', 'recommendations/v1/videos')
      /** @type {Video[]} */
      const videos = listIn(answer, 'data')
      return { state: answer.state, known: answer.known, videos }
    },
    ({ state, known, videos }) => {
      settings.hidden = state === 'not-on' || state === 'history-off'
      // Once it is there it stays: it says what came of it.
      if (!settings.hidden) reset.hidden = false
      if (state === 'history-off') {
        return [el('p', {}, say('historyOff'), ' ', el('a', { class: 'pt', href: '/my-account/settings' }, say('historySettings')))]
      }
      if (state === 'not-on') return [turnOn(page, async () => { await list.reload(); title.focus() })]
      if (state === 'no-model') return [el('p', {}, say('noModel'))]
      if (videos.length === 0) return [el('p', {}, say('none'))]

      const made = videos.map(video => card(video, hiding, sayReason))
      cards = made.map(({ refresh }) => refresh)
      return [known < FEW ? el('p', {}, say('little')) : null, el('ul', { class: 'shoal-video-cards' }, ...made.map(({ item }) => item))]
    },
    () => el('div', { class: 'shoal-video-cards' }, ...Array.from({ length: 8 }, () => el('div', { class: 'shoal-skeleton' }))))

  const choice = dial(page, () => { void list.reload() })
  const settings = el('div', { class: 'shoal-dial' }, choice.box)
  const reset = withdraw(page, () => {
    void list.reload()
    void choice.reload()
  })
  reset.hidden = settings.hidden = true
  frame.append(
    page.live,
    hiding.live,
    el('p', { class: 'shoal-intro' }, say('rests'), ' ', el('a', { class: 'pt', href: '/my-account/p/shoal' }, say('meaning'))),
    settings,
    list.box,
    reset)
}

/**
 * What a list of one's own needs, in the words of the viewer's page, and the button for it.
 *
 * @param {ForYouPage} page the page
 * @param {() => Promise<void>} done called when both are on
 */
function turnOn (page, done) {
  const { api, say, sayProblem } = page
  const problem = problemLine()
  return el('div', { class: 'shoal-intro' },
    el('p', {}, say('off')),
    el('ul', {}, ...(/** @type {const} */ (['training', 'personal'])).map(name => (
      el('li', {}, el('strong', {}, say(name)), '. ', say(`${name}Text`))))),
    actionButton({
      text: say('turnOn'),
      look: 'primary',
      problem,
      sayProblem,
      run: async () => {
        await api.plugin('PUT', 'viewer/v1/choice', { training: true, personal: true })
        await done()
      }
    }),
    problem)
}

/**
 * @param {Video} video to show
 * @param {Hiding} hiding "less like this"
 * @param {import('../lib/texts.js').Say<keyof typeof REASONS | keyof typeof LINES>} sayReason words for why it is there
 * @returns {{ item: HTMLElement, refresh: () => void }} and what draws it anew after something was hidden
 */
function card ({ uuid, shortUUID, name, thumbnailPath, channel, reason }, hiding, sayReason) {
  const picture = typeof thumbnailPath === 'string' && /^\/(?!\/)/.test(thumbnailPath) ? thumbnailPath : null
  const line = el('div', { class: 'shoal-why' })
  const item = el('li', {},
    el('a', { class: 'video-name', href: `/w/${encodeURIComponent(shortUUID ?? uuid)}` },
      picture ? el('img', { src: picture, alt: '', loading: 'lazy', decoding: 'async' }) : null,
      el('bdi', {}, name)),
    channel
      ? el('p', { class: 'owner' }, el('a', { href: `/c/${encodeURIComponent(channel.name)}@${channel.host}/videos` },
        el('bdi', {}, channel.displayName)))
      : null,
    line)

  /** @type {boolean | undefined} */
  let shown
  const refresh = () => {
    const hidden = hiding.mark(item, uuid)
    if (hidden === shown) return
    shown = hidden
    const why = hidden ? [] : [el('p', { class: 'shoal-why-text' }, el('bdi', {}, reasonText(reason, sayReason))), whyLink(sayReason)]
    line.replaceChildren(...why, hiding.controls(item, uuid))
  }
  refresh()
  return { item, refresh }
}
