import { listIn } from '../lib/api.js'
import { actionButton, problemLine } from '../lib/controls.js'
import { el, safeLink, uniqueId } from '../lib/dom.js'
import { channelName } from '../lib/ids.js'
import { SENTENCES as REASONS, reasonText } from '../lib/reasons.js'
import { isolated, loadTexts } from '../lib/texts.js'
import { block, nothing, own, plain } from './pieces.js'

/** @typedef {{ uuid: string, url: string, title: string, channel: string }} Video */

const MOST = 20

/**
 * Related videos of any video, with the reasons that viewers would read.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @returns {import('./tab-list.js').Part} the part
 */
export function lookup (admin) {
  const { page, say, sayProblem, ask } = admin
  const id = uniqueId('search')
  const problem = problemLine()
  const outcome = el('p', { role: 'status' })
  const found = el('div', {})
  const shown = el('div', {})
  const input = el('input', { id, class: 'form-control', type: 'search', maxlength: '200' })

  const search = actionButton({
    text: say('search'),
    look: 'primary',
    problem,
    sayProblem,
    run: async () => {
      const query = input.value.trim()
      if (query === '') {
        input.focus()
        return
      }
      shown.replaceChildren()
      outcome.textContent = ''
      /** @type {Video[]} */
      const videos = listIn(await ask('GET', `videos?${new URLSearchParams({ q: query, limit: String(MOST) })}`), 'videos')
      outcome.textContent = videos.length ? say.counted('videosFoundOne', 'videosFoundOther', videos.length) : say('noneFound')
      found.replaceChildren(el('ul', { class: 'shoal-list' }, ...videos.map(video => choice(video))))
    }
  })

  /** @param {Video} video that was found */
  const choice = video => {
    const title = plain(video.title, 200) || plain(video.url, 300)
    return el('li', { class: 'shoal-row' },
      el('div', {}, safeLink(plain(video.url, 2000), title), el('p', { class: 'muted-2' }, own(channelName(plain(video.channel))))),
      actionButton({
        text: say('showRelated'),
        label: say('showRelatedOf', { title: isolated(title) }),
        small: true,
        problem,
        sayProblem,
        run: () => related(video, title)
      }))
  }

  const related = async (/** @type {Video} */ video, /** @type {string} */ title) => {
    const [answer, sayReason] = await Promise.all([
      ask('GET', `related?${new URLSearchParams({ video: video.url, limit: '10' })}`), loadTexts(page.helpers, REASONS)
    ])
    const videos = listIn(answer, 'videos')
    const heading = el('h3', { tabindex: '-1' }, say('relatedOf', { title: isolated(title) }))
    shown.replaceChildren(heading, videos.length
      ? el('ol', { class: 'shoal-ranked' }, ...videos.map((/** @type {any} */ one) => el('li', {},
        safeLink(plain(one.url, 2000), plain(one.title, 200) || plain(one.url, 300)),
        el('p', { class: 'muted-2' }, [
          channelName(plain(one.channel, 300)), plain(reasonText(one.reason, sayReason), 1000)
        ].filter(Boolean).join(' · ')))))
      : nothing(say('noRelated')))
    heading.focus()
  }

  const form = el('form', {
    class: 'shoal-line-form',
    role: 'search',
    submit: event => {
      event.preventDefault()
      search.click()
    }
  }, input, search)

  return {
    content: [block(say('lookup'), el('p', {}, say('lookupText')),
      el('div', { class: 'form-group' }, el('label', { for: id }, say('titleWords')), form), problem, outcome, found, shown)]
  }
}
