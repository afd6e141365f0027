import { listIn } from './lib/api.js'

/** Videos that PeerTube is asked about at once. */
const AT_ONCE = 100

/** Thumbnails, from PeerTube itself: where the page is shown in it, and nowhere else. */
export class Pictures {
  /** @type {Map<string, string>} */
  #known = new Map()
  /** Videos that were asked about, and when the answers are there. @type {Map<string, Promise<void>>} */
  #asked = new Map()

  /** @param {import('./lib/api.js').Api | null} peertube asks PeerTube; `null` where the page stands alone */
  constructor (peertube) {
    this.peertube = peertube
  }

  /** @returns {boolean} whether there are any */
  get some () {
    return this.peertube !== null
  }

  /**
   * @param {string[]} uuids of videos
   * @returns {Promise<Map<string, string>>} paths of this instance by uuid; nothing of a video without one
   */
  async of (uuids) {
    const wanted = [...new Set(uuids)]
    const unknown = wanted.filter(uuid => !this.#asked.has(uuid))
    for (let start = 0; start < unknown.length; start += AT_ONCE) {
      const some = unknown.slice(start, start + AT_ONCE)
      const answered = this.#ask(some)
      for (const uuid of some) this.#asked.set(uuid, answered)
    }
    await Promise.all(wanted.map(uuid => this.#asked.get(uuid)))
    return this.#known
  }

  /** @param {string[]} uuids of videos that nothing is known of */
  async #ask (uuids) {
    if (!this.peertube) return
    // The instance's own search: it asks no other server.
    const query = new URLSearchParams({ count: String(AT_ONCE), nsfw: 'both', searchTarget: 'local' })
    for (const uuid of uuids) query.append('uuids', uuid)
    try {
      for (const video of listIn(await this.peertube.peertube('GET', `search/videos?${query}`), 'data')) {
        const path = [video?.thumbnailPath, video?.previewPath].find(isHere)
        if (path) this.#known.set(video.uuid, path)
      }
    } catch {
      // A list without pictures is still a list.
    }
  }
}

/** @param {unknown} path that may lead to this instance, and nowhere else */
function isHere (path) {
  return typeof path === 'string' && /^\/(?!\/)/.test(path)
}
