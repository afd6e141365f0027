import { el, isWebAddress } from '../lib/dom.js'

/**
 * Videos in a block of our own on the watch page, each with why it is there.
 *
 * @param {{ video: any, why: string }[]} found as PeerTube gives them
 * @returns {HTMLElement} the list
 */
export function videoList (found) {
  return el('ul', { class: 'shoal-browser-list' }, ...found.map(({ video, why }) => {
    const picture = pictureOf(video)
    const channel = video.channel?.displayName
    return el('li', {},
      el('a', { href: `/w/${encodeURIComponent(video.shortUUID ?? video.uuid)}` },
        picture ? el('img', { src: picture, alt: '', loading: 'lazy', decoding: 'async' }) : null,
        el('bdi', {}, video.name)),
      typeof channel === 'string' ? el('p', { class: 'muted-2' }, el('bdi', {}, channel)) : null,
      el('p', { class: 'muted-2' }, why))
  }))
}

/**
 * @param {any} video as PeerTube gives it
 * @returns {string | null} address of a small picture
 */
function pictureOf ({ thumbnails, thumbnailPath }) {
  const known = Array.isArray(thumbnails) ? thumbnails : []
  const [smallest] = known.filter(({ width }) => width >= 200).sort((a, b) => a.width - b.width)
  const address = smallest?.fileUrl ?? thumbnailPath
  return typeof address === 'string' && address !== '' && isWebAddress(address) ? address : null
}
