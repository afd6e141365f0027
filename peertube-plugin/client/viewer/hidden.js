import { listIn } from '../lib/api.js'
import { actionButton, problemLine } from '../lib/controls.js'
import { el, safeLink } from '../lib/dom.js'
import { channelName } from '../lib/ids.js'
import { isolated } from '../lib/texts.js'

/**
 * One thing that is hidden. A video without a name is no longer public.
 *
 * @typedef {{ kind: 'video' | 'channel', id: number, uuid?: string, url: string, name?: string | null }} Hidden
 */

/**
 * Videos and channels this viewer does not want to be suggested, each with a way back.
 *
 * @param {import('./sentences.js').ViewerPage} page the page
 * @returns {{ section: HTMLElement, reload: () => Promise<void> }} the part, and a function that fills it anew
 */
export function hidden (page) {
  const { api, say } = page

  const { box, reload } = page.loaded(
    async () => {
      const answer = await api.plugin('GET', 'viewer/v1/hidden')
      /** @type {Hidden[]} */
      const items = [
        ...listIn(answer, 'videos').map((/** @type {any} */ video) => ({ ...video, kind: 'video' })),
        ...listIn(answer, 'channels').map((/** @type {any} */ channel) => ({ ...channel, kind: 'channel' }))
      ]
      return items
    },
    items => {
      if (items.length === 0) return [el('p', { class: 'muted-2' }, say('nothingHidden'))]

      const list = el('ul', { class: 'shoal-list' })
      list.append(...items.map(item => entry(page, list, item)))
      return [list]
    })

  return { section: page.section(say('hidden'), el('p', {}, say('hiddenText')), box), reload }
}

/**
 * @param {import('./sentences.js').ViewerPage} page the page
 * @param {HTMLElement} list where it stands
 * @param {Hidden} item what is hidden
 */
function entry (page, list, item) {
  const { api, say, sayProblem } = page
  const problem = problemLine()
  const isVideo = item.kind === 'video'
  const name = isVideo ? item.name ?? item.url : channelName(item.url)

  const line = el('li', {},
    el('div', { class: 'shoal-row' },
      el('div', {},
        el('span', { class: 'pt-badge badge-secondary' }, say(isVideo ? 'hiddenVideo' : 'hiddenChannel')), ' ',
        safeLink(isVideo && item.name ? `/w/${item.uuid}` : item.url, name)),
      actionButton({
        text: say('showAgain'),
        label: say('showAgainNamed', { name: isolated(name) }),
        small: true,
        problem,
        sayProblem,
        run: async () => {
          await api.plugin('DELETE', 'viewer/v1/hidden', { kind: item.kind, id: item.id })
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
