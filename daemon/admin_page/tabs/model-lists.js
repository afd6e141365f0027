import { el } from '../lib/dom.js'
import { number } from '../lib/texts.js'
import { badge, nothing } from './pieces.js'
import { videoRow, withPictures } from './video-row.js'

/** @typedef {import('./video-row.js').Video} Video */

/**
 * What a model would change for viewers: related lists of a few videos of this instance, as they are and as they would be.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @param {string} model its id
 * @returns {HTMLElement} the lists, beside each other where there is room
 */
export function modelLists (admin, model) {
  const { page, say, ask } = admin
  const { box } = page.loaded(
    async () => {
      const found = await ask('GET', `models/${encodeURIComponent(model)}/lists`)
      await withPictures(admin, found.lists.flatMap(one => [one, ...one.before, ...one.after]))
      return found
    },
    ({ served, differ, of, lists }) => [
      el('p', {}, of === 0
        ? say('noListsToCompare')
        : differ === 0 ? say('listsSame', { of: number(of) }) : say('listsDiffer', { differ: number(differ), of: number(of) })),
      ...lists.map(one => el('section', { class: 'shoal-compared' },
        el('h5', {}, say('beside')), videoRow(admin, one),
        el('div', { class: 'shoal-columns' },
          column(admin, say('before'), served === null ? say('listOfPeertube') : say('listEmpty'), one.before, one.after),
          column(admin, say('after'), say('listEmpty'), one.after, one.before))))
    ])
  return box
}

/**
 * @param {import('./admin.js').Admin} admin the page
 * @param {string} title of the column
 * @param {string} empty what to say of no list
 * @param {Video[]} videos best first
 * @param {Video[]} others of the other column
 */
function column (admin, title, empty, videos, others) {
  const there = new Set(others.map(({ url }) => url))
  return el('div', {}, el('h6', {}, title), videos.length
    ? el('ol', { class: 'shoal-ranked' }, ...videos.map(video => el('li', {},
      videoRow(admin, video, there.has(video.url) ? null : badge(admin.say('onlyHere'), 'secondary')))))
    : nothing(empty))
}
