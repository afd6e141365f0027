import { MOST_HISTORY } from './vectors.js'

/**
 * What this browser knows by itself: what was watched here without being logged in, which PeerTube keeps for 30 days, and
 * our own notes beside it, how long those videos are and what they are called. None of it leaves the browser.
 *
 * PeerTube's entry is `{ "<uuid>": { duration, date } }`, where `duration` is the second at which the viewer left
 * (`saveVideoWatchHistory` in client/src/standalone/player/src/peertube-player-local-storage.ts, 7.2).
 */

const PEERTUBE = 'peertube-videojs-video-watch-history'
const NOTES = 'shoal-browser-notes'
const SWITCH = 'shoal-browser-suggestions'
const OFF = 'off'

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const DAYS_30 = 30 * 24 * 3600 * 1000
const MOST_TITLE = 120
// A video counts when half of it was watched, as on the server. Where its length is not known, after a minute.
const WATCHED = 0.5
const WATCHED_SECONDS = 60

/**
 * @typedef {{ title: string, seconds: number }} Note
 * @typedef {{ watched: string[], opened: Set<string>, titles: Map<string, string> }} History `watched` newest first;
 *   `opened` has whatever was played at all
 */

/** @returns {boolean} whether the viewer left the suggestions on */
export function isOn () {
  return read(SWITCH) !== OFF
}

/**
 * Switch the suggestions of this browser on or off; off takes our notes away.
 *
 * @param {boolean} on what the viewer wants
 */
export function switchTo (on) {
  if (on) return remove(SWITCH)
  write(SWITCH, OFF)
  remove(NOTES)
}

/**
 * What was watched in this browser.
 *
 * @param {number} [now] Unix milliseconds
 * @returns {History} of the last 30 days
 */
export function watchHistory (now = Date.now()) {
  const notes = readNotes()
  const entries = [...playedHere(now)].sort(([a, left], [b, right]) => right.at - left.at || (a < b ? -1 : 1))
  return {
    watched: entries
      .filter(([uuid, { second }]) => {
        const length = notes.get(uuid)?.seconds ?? 0
        return length > 0 ? second >= WATCHED * length : second >= WATCHED_SECONDS
      })
      .map(([uuid]) => uuid)
      .slice(0, MOST_HISTORY),
    opened: new Set(entries.map(([uuid]) => uuid)),
    titles: new Map([...notes].filter(([, { title }]) => title).map(([uuid, { title }]) => [uuid, title]))
  }
}

/**
 * Note what a video is called and how long it is; forget what PeerTube has forgotten.
 *
 * @param {string} video uuid of the video on the page
 * @param {{ name?: unknown, duration?: unknown }} known what PeerTube says of it
 * @param {number} [now] Unix milliseconds
 */
export function note (video, { name, duration }, now = Date.now()) {
  const played = playedHere(now)
  const kept = [...readNotes()].filter(([uuid]) => uuid !== video && played.has(uuid)).slice(-MOST_HISTORY)
  kept.push([video, {
    title: typeof name === 'string' ? name.slice(0, MOST_TITLE) : '',
    seconds: typeof duration === 'number' && duration > 0 ? duration : 0
  }])
  write(NOTES, JSON.stringify(Object.fromEntries(kept)))
}

/**
 * @param {number} now Unix milliseconds
 * @returns {Map<string, { second: number, at: number }>} by uuid
 */
function playedHere (now) {
  const found = new Map()
  for (const [uuid, entry] of Object.entries(parsed(PEERTUBE))) {
    const second = entry?.duration
    const at = Date.parse(entry?.date)
    if (!UUID.test(uuid) || typeof second !== 'number' || !(second >= 0) || !(now - at <= DAYS_30)) continue
    found.set(uuid, { second, at })
  }
  return found
}

/** @returns {Map<string, Note>} by uuid, oldest first */
function readNotes () {
  const found = new Map()
  for (const [uuid, entry] of Object.entries(parsed(NOTES))) {
    if (!UUID.test(uuid) || typeof entry?.title !== 'string' || typeof entry.seconds !== 'number') continue
    found.set(uuid, { title: entry.title.slice(0, MOST_TITLE), seconds: entry.seconds })
  }
  return found
}

/**
 * @param {string} key of a JSON object
 * @returns {Record<string, any>} empty when there is none
 */
function parsed (key) {
  try {
    const value = JSON.parse(read(key) ?? '{}')
    return typeof value === 'object' && value !== null ? value : {}
  } catch {
    return {}
  }
}

// A browser may refuse its storage altogether; then there is no history either.

/** @param {string} key */
function read (key) {
  try {
    return localStorage.getItem(key)
  } catch {
    return null
  }
}

/** @param {string} key @param {string} value */
function write (key, value) {
  try {
    localStorage.setItem(key, value)
  } catch { /* full or refused */ }
}

/** @param {string} key */
function remove (key) {
  try {
    localStorage.removeItem(key)
  } catch { /* refused */ }
}
