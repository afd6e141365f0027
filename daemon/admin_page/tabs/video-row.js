import { el, safeLink } from '../lib/dom.js'
import { channelName } from '../lib/ids.js'
import { own, plain } from './pieces.js'

/** @typedef {import('../ask.js').Answer<'FoundVideo'>} Video */

/**
 * A video as it is shown in lists: its picture, where there are pictures, its title and its channel.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @param {Video} video from the daemon
 * @param {...(Node | string | null)} more below its channel
 * @returns {HTMLElement} the video
 */
export function videoRow ({ pictures }, { uuid, url, title, channel }, ...more) {
  const picture = el('span', { class: 'shoal-picture', 'aria-hidden': 'true' })
  if (pictures.some) {
    void pictures.of([uuid]).then(known => {
      const path = known.get(uuid)
      if (path) picture.append(el('img', { src: path, alt: '', loading: 'lazy', decoding: 'async' }))
    })
  }
  const name = channelName(plain(channel, 300))
  return el('div', { class: 'shoal-video' },
    pictures.some ? picture : null,
    el('div', {}, safeLink(plain(url, 2000), videoTitle({ title, url })),
      name ? el('p', { class: 'muted-2' }, own(name)) : null, ...more))
}

/**
 * @param {{ title: string, url: string }} video whose title may be gone
 * @returns {string} what to call it
 */
export function videoTitle ({ title, url }) {
  return plain(title, 200) || plain(url, 300)
}

/**
 * Ask for the pictures of many videos in one request, before each is drawn.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @param {Video[]} videos that will be drawn
 */
export async function withPictures ({ pictures }, videos) {
  await pictures.of(videos.map(({ uuid }) => uuid))
}
