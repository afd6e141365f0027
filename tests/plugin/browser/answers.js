/** What the plugin's routes answer when all is well, for tests and screenshots. */
import { vectorsAbout } from '../host/vectors.js'
import { MOUNTED, answer } from './browser.js'

export const VIDEO = '0b6d7d0e-2f5a-4d0f-8f6c-1d2e3f4a5b6c'
export const SECOND_VIDEO = '11111111-2222-4333-8444-555555555555'
export const CHANNEL = 'https://far.example/video-channels/news'
export const VIDEO_URL = `https://far.example/videos/watch/${VIDEO}`

/** How the instance stands: what `viewer/v1/about` says. */
export const about = {
  consent: 'opt-in',
  exact: false,
  mode: 'contribute',
  peers: ['far.example', 'near.example'],
  next: Date.UTC(2026, 10, 12, 18) / 1000,
  daemon: true
}

/** @param {any} site made by `openSite` */
export function viewerRoutes (site) {
  const noon = Date.UTC(2026, 10, 12, 12) / 1000
  let discovery = { discovery: null }
  let choice = { training: false, personal: false, chosen: false, history: true, consent: 'opt-in' }
  set(site, {
    'GET viewer/v1/about': () => about,
    'GET viewer/v1/choice': () => choice,
    'PUT viewer/v1/choice': ({ body }) => { choice = { ...choice, ...body, chosen: true }; return choice },
    'GET viewer/v1/invitation': () => ({ asks: !choice.chosen }),
    'DELETE viewer/v1/invitation': () => answer(204, ''),
    'GET viewer/v1/discovery': () => discovery,
    'PUT viewer/v1/discovery': ({ body }) => { discovery = body; return discovery },
    'GET viewer/v1/known': () => ({
      videos: [
        { uuid: VIDEO, url: VIDEO_URL, title: 'Sailing <b>home</b>', liked: true, disliked: false, watched: 0.8, at: noon },
        { uuid: SECOND_VIDEO, url: 'https://far.example/videos/watch/gone', liked: false, disliked: true, watched: 0, at: null }
      ]
    }),
    'GET viewer/v1/hidden': () => ({
      videos: [{ id: 7, uuid: VIDEO, url: VIDEO_URL, name: 'Sailing <b>home</b>', at: noon }],
      channels: [{ id: 9, name: 'News', url: CHANNEL, at: noon }]
    }),
    'DELETE viewer/v1/hidden': () => answer(204, ''),
    'POST viewer/v1/withdraw': () => answer(204, ''),
    'GET recommendations/v1/videos': () => ({ state: 'ready', known: 3, total: forYou.length, data: forYou }),
    'POST viewer/v1/hidden': () => answer(204, ''),
    'GET owner/v1/channels': () => ({ channels: [{ url: CHANNEL, name: 'News & <i>views</i>', excluded: false }] }),
    'PUT owner/v1/channels': () => ({ channels: [] })
  })
}

/** Videos of two topics, as the browser's own suggestions know them: sea first, then music. */
export const TOPICS = ['Tides and winds', 'Crossing the Channel in a small boat', 'Knots for beginners', 'A night at sea',
  'Reading the clouds', 'Harbour to harbour', 'Fugues explained', 'A concert in the park', 'Tuning a piano']
  .map((name, place) => ({
    uuid: `${String(place + 1).repeat(8)}-2222-4333-8444-555555555555`,
    name,
    topic: place < 6 ? [100 - place, place] : [0, place, 100],
    channel: { displayName: place < 6 ? 'Sailing home' : 'Music school' }
  }))

/** A viewer's own list, as PeerTube writes videos, with reasons. */
export const forYou = TOPICS.map(({ topic: _, channel, ...video }, place) => ({
  ...video,
  shortUUID: video.uuid,
  thumbnailPath: `/lazy-static/thumbnails/${video.uuid}.jpg`,
  channel: { ...channel, name: `channel_${channel.displayName.split(' ')[0].toLowerCase()}`, host: 'far.example' },
  reason: [
    { kind: 'co-engagement', users: 20, share: 0.8 },
    { kind: 'history', tags: ['sailing', 'North Sea'], share: 0.4 },
    { kind: 'new', words: ['harbour'] },
    { kind: 'popular', users: 120 }
  ][place % 4]
}))

/** @param {any} site made by `openSite` */
export function browserRoutes (site, videos = TOPICS) {
  set(site, {
    'api GET plugins/peertube-plugin-shoal/public-settings': () => ({
      publicSettings: { 'related-list': true, 'browser-suggestions': true }
    }),
    'GET browser/v1/vectors': () => answer(200, vectorsAbout(Object.fromEntries(videos.map(({ uuid, topic }) => [uuid, topic])))),
    'api GET search/videos': ({ query }) => ({
      total: 0,
      data: videos.filter(({ uuid }) => [query.uuids].flat().includes(uuid)).map(({ topic: _, ...video }) => (
        { ...video, shortUUID: video.uuid, thumbnailPath: `/lazy-static/thumbnails/${video.uuid}.jpg` }))
    })
  })
}

/** @param {any} site made by `openSite` */
export function adminRoutes (site) {
  let settings = { 'related-list': true, 'daemon-url': 'http://127.0.0.1:9731', secret: 'kept' }
  let exclusions = { channels: [CHANNEL], hosts: ['spam.example'], videos: [] }
  set(site, {
    'GET admin/v1/page': () => ({ path: MOUNTED }),
    'GET admin/v1/diagnostics': () => ({
      ok: false,
      checks: [
        { id: 'daemon', ok: true, message: 'The daemon answers.', advice: '' },
        { id: 'secret', ok: false, message: '', advice: 'Copy the secret from the settings into [source] of the daemon\'s shoal.toml and restart it.' },
        { id: 'participants', ok: null, message: '', advice: 'Viewers who take part: 3. With fewer than about 100, noise hides most of what they watch, and suggestions rest on tags, channels and languages. Tell viewers about the choice in their account.' },
        { id: 'of tomorrow', ok: true, message: '<b>new</b>', advice: '' }
      ]
    }),
    'GET admin/v1/exclusions': () => exclusions,
    'PUT admin/v1/exclusions': ({ body }) => { exclusions = body; return exclusions },
    'POST admin/v1/erase': () => ({ erased: ['choices'] }),
    'api GET plugins/peertube-plugin-shoal': () => ({ settings }),
    'api PUT plugins/peertube-plugin-shoal/settings': ({ body }) => { settings = body.settings; return answer(204, '') },
    'api GET search/videos': () => ({ total: 1, data: [{ uuid: VIDEO, url: VIDEO_URL }] })
  })
}

function set (site, routes) {
  for (const [key, route] of Object.entries(routes)) site.routes.set(key, route)
}
