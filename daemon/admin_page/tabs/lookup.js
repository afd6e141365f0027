import { actionButton, problemLine } from '../lib/controls.js'
import { el, uniqueId } from '../lib/dom.js'
import { SENTENCES as REASONS, reasonText } from '../lib/reasons.js'
import { isolated, loadTexts, number, percent } from '../lib/texts.js'
import { block, folded, nothing, plain, table } from './pieces.js'
import { videoRow, videoTitle, withPictures } from './video-row.js'

/** @typedef {import('./video-row.js').Video} Video */
/** @typedef {import('../ask.js').Answer<'LookedUpVideo'>} LookedUp */

const MOST = 20
const PLACES = '10'

/**
 * Related videos of any video: the reasons that viewers read, what each rests on, and on to the next video.
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
  /** Videos that were looked up on the way here. @type {Video[]} */
  const way = []

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
      way.length = 0
      outcome.textContent = ''
      const { videos } = await ask('GET', `videos?${new URLSearchParams({ q: query, limit: String(MOST) })}`)
      await withPictures(admin, videos)
      outcome.textContent = videos.length ? say.counted('videosFoundOne', 'videosFoundOther', videos.length) : say('noneFound')
      found.replaceChildren(el('ul', { class: 'shoal-list' }, ...videos.map(video => (
        el('li', { class: 'shoal-row' }, videoRow(admin, video), button(video))))))
    }
  })

  /** @param {Video} video to look up next */
  const button = video => actionButton({
    text: say('lookUp'),
    label: say('lookUpOf', { title: isolated(videoTitle(video)) }),
    small: true,
    problem,
    sayProblem,
    run: () => show(video)
  })

  /** @param {Video} video to show what is related to */
  const show = async video => {
    const [answer, sayReason] = await Promise.all([
      ask('GET', `related?${new URLSearchParams({ video: plain(video.url, 2000), limit: PLACES })}`), loadTexts(page.helpers, REASONS)
    ])
    await withPictures(admin, [answer.video, ...answer.videos])
    outcome.textContent = ''
    found.replaceChildren()
    const back = way.at(-1)
    way.push(video)
    const heading = el('h3', { tabindex: '-1' }, say('relatedOf', { title: isolated(videoTitle(video)) }))
    shown.replaceChildren(
      back
        ? actionButton({
          text: say('backTo', { title: isolated(videoTitle(back)) }),
          small: true,
          problem,
          sayProblem,
          run: async () => {
            way.splice(-2)
            await show(back)
          }
        })
        : '',
      heading,
      videoRow(admin, answer.video),
      answer.videos.length ? el('p', { class: 'muted-2 shoal-note' }, say('partsText')) : '',
      answer.videos.length
        ? el('ol', { class: 'shoal-ranked shoal-looked-up' }, ...answer.videos.map((one, place) => (
          el('li', {}, el('div', { class: 'shoal-row' },
            videoRow(admin, one, el('p', {}, plain(reasonText(one.reason, sayReason), 1000))), button(one)),
          partsOf(say, one, place + 1)))))
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

/**
 * @param {import('./admin.js').Admin['say']} say the page's sentences
 * @param {LookedUp} video in a list
 * @param {number} place of it, from 1
 * @returns {HTMLElement} what speaks for it, and what it is worth
 */
function partsOf (say, { parts }, place) {
  if (parts.length === 0) return folded(say('scoreParts'), el('p', {}, say('reserved')))
  const without = (/** @type {number | null} */ given) => {
    if (given === null) return say('placeGone')
    return given === place ? say('placeSame', { place: number(place) }) : say('placeFrom', { place: number(place), without: number(given) })
  }
  return folded(say('scoreParts'),
    table(say('scoreParts'), [say('scoreParts'), { title: say('share'), number: true }, say('withoutIt')], parts.map(part => [
      say(`part_${part.kind}`, { name: isolated(plain(part.name, 100)) }), percent(part.share), without(part.place)
    ])))
}
