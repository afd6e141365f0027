import { actionButton, problemLine } from '../lib/controls.js'
import { el, safeLink } from '../lib/dom.js'
import { channelName } from '../lib/ids.js'
import { isolated } from '../lib/texts.js'
import { titlesOf } from '../lib/titles.js'

/** @typedef {{ kind: 'video' | 'channel', id: string }} Hidden */

/**
 * Videos and channels this viewer does not want to be suggested, each with a way back.
 *
 * @param {import('./sentences.js').ViewerPage} page the page
 * @returns {{ section: HTMLElement, reload: () => Promise<void> }} the part of the page, and a function that fills it anew
 */
export function hidden (page) {
  const { api, say } = page

  const { box, reload } = page.loaded(
    async () => {
      /** @type {{ items: Hidden[] }} */
      const { items } = await api.plugin('GET', 'viewer/v1/hidden')
      const videos = items.filter(item => item.kind === 'video').map(item => item.id)
      return { items, titles: await titlesOf(api, videos) }
    },
    ({ items, titles }) => {
      if (items.length === 0) return [el('p', { class: 'muted-2' }, say('nothingHidden'))]

      const list = el('ul', { class: 'shoal-list' })
      list.append(...items.map(item => entry(page, list, item, titles)))
      return [list]
    })

  return { section: page.section(say('hidden'), el('p', {}, say('hiddenText')), box), reload }
}

/**
 * @param {import('./sentences.js').ViewerPage} page the page
 * @param {HTMLElement} list where it stands
 * @param {Hidden} item what is hidden
 * @param {Map<string, string>} titles of videos by uuid
 */
function entry (page, list, item, titles) {
  const { api, say, sayProblem } = page
  const problem = problemLine()
  const isVideo = item.kind === 'video'
  const name = isVideo ? titles.get(item.id) ?? item.id : channelName(item.id)

  const line = el('li', {},
    el('div', { class: 'shoal-row' },
      el('div', {},
        el('span', { class: 'pt-badge badge-secondary' }, say(isVideo ? 'hiddenVideo' : 'hiddenChannel')), ' ',
        safeLink(isVideo ? `/w/${item.id}` : item.id, name)),
      actionButton({
        text: say('showAgain'),
        label: say('showAgainNamed', { name: isolated(name) }),
        small: true,
        problem,
        sayProblem,
        run: async () => {
          await api.plugin('DELETE', 'viewer/v1/hidden', item)
          remove()
        }
      })),
    problem)

  const remove = () => {
    const neighbour = line.nextElementSibling ?? line.previousElementSibling
    const heading = list.closest('section')?.querySelector('h2')
    if (neighbour) line.remove()
    else list.replaceWith(el('p', { class: 'muted-2' }, say('nothingHidden')))
    page.announce(say('shownAgain'))
    const next = neighbour?.querySelector('button') ?? heading
    next?.focus()
  }

  return line
}
