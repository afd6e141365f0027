const PAGE = 100

/**
 * Titles of videos, as far as PeerTube shows these videos to the viewer. Failing to get them is no failure: a
 * list with addresses instead of titles is still a list.
 *
 * @param {import('./api.js').Api} api for the requests
 * @param {string[]} uuids of the videos
 * @returns {Promise<Map<string, string>>} title by uuid
 */
export async function titlesOf (api, uuids) {
  const titles = new Map()
  for (let start = 0; start < uuids.length; start += PAGE) {
    const query = new URLSearchParams({ count: String(PAGE), nsfw: 'both' })
    for (const uuid of uuids.slice(start, start + PAGE)) query.append('uuids', uuid)

    const found = await api.peertube('GET', `search/videos?${query}`).catch(() => null)
    for (const video of found?.data ?? []) titles.set(video.uuid, video.name)
  }
  return titles
}
