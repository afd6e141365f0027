/** The settings of the stand-in daemon, what its levels cost, its jobs, and the videos that would leave. */
import { NOW } from './story.js'

const LETS_OUT = { code: 'lets_contribute', params: { least: 4 } }
const VALUES = {
  mode: ['off', 'simulate', 'consume', 'contribute'],
  'privacy.level': ['none', 'default', 'strict', 'user-level'],
  'schedule.enabled': [true, false],
  'serve.discovery': ['familiar', 'balanced', 'explore']
}
const KEYS = { mode: 'mode', level: 'privacy.level', schedule: 'schedule.enabled', discovery: 'serve.discovery' }
const TITLES = ['Crossing the Channel in a small boat', 'Tides and winds', 'Knots for beginners', 'A night at sea', 'Reading the clouds']

export class Settings {
  holds = { mode: 'contribute', 'privacy.level': 'default', 'schedule.enabled': true, 'serve.discovery': 'balanced' }
  origins = { mode: 'choices.json', 'privacy.level': 'default', 'schedule.enabled': 'default', 'serve.discovery': 'default' }
  jobs = [
    { job: 'sync', running: null, progress: null, waits: false, next: NOW + 7200, refused: null, last: { at: NOW - 3600, ok: true, sentence: { code: 'syncEnded', params: { count: 1402, viewers: 214 } }, problem: '', advice: '' } },
    { job: 'train', running: NOW - 60, progress: 0.4, waits: false, next: null, refused: null, last: { at: NOW - 8000, ok: false, sentence: null, problem: 'a member is too slow', advice: 'Try again later.' } },
    { job: 'round', running: null, progress: null, waits: false, next: NOW + 86400, refused: { code: 'roundWindow', params: { at: NOW + 86400 } }, last: null }
  ]

  /** @param {{ method: string, path: string, query: Record<string, string>, body?: any }} request @returns {{ status: number, body: any } | undefined} */
  answer ({ method, path, query, body }) {
    switch (`${method} ${path}`) {
      case 'GET settings': return { status: 200, body: this.view() }
      case 'POST settings': return this.#choose(body)
      case 'GET settings/levels': return { status: 200, body: levels() }
      case 'GET start': return { status: 200, body: { jobs: this.jobs } }
      case 'POST start':
        this.jobs = this.jobs.map(job => job.job === body.job ? { ...job, running: NOW, progress: 0 } : job)
        return { status: 200, body: { jobs: this.jobs } }
      case 'GET share/videos': return { status: 200, body: videos(query) }
    }
  }

  view () {
    return {
      host: 'here.example',
      real: true,
      settings: Object.entries(VALUES).map(([key, values]) => ({
        key,
        value: this.holds[key],
        origin: this.origins[key],
        locked: this.origins[key].startsWith('SHOAL_'),
        options: values.map(value => ({ value, problem: '', confirm: this.#letsOut(key, value) }))
      }))
    }
  }

  #letsOut (key, value) {
    return key === 'mode' && value === 'contribute' && this.holds.mode !== value ? [LETS_OUT] : []
  }

  #choose ({ agreed = [], ...order }) {
    for (const [name, value] of Object.entries(order)) {
      if (this.#letsOut(KEYS[name], value).some(({ code }) => !agreed.includes(code))) {
        return { status: 409, body: { code: 'unconfirmed', message: 'That lets something out.', advice: 'Agree to it.' } }
      }
    }
    for (const [name, value] of Object.entries(order)) {
      this.holds[KEYS[name]] = value
      this.origins[KEYS[name]] = 'choices.json'
    }
    return { status: 200, body: this.view() }
  }
}

function levels () {
  const plan = (level, noise, window, year, quality) => ({
    level,
    noise,
    epsilon_window: window,
    epsilon_year: year,
    audience_needed: level === 'user-level' ? 10000 : 0,
    offered: level !== 'user-level',
    quality: [
      { data: 'anime-5k', value: quality, without_noise: 0.43 },
      { data: 'ml-latest-small', value: quality * 0.6, without_noise: 0.29 }
    ]
  })
  return {
    aggregators: 4,
    members: 5,
    windows: 20,
    bytes_month: 15_600_000,
    levels: [
      plan('none', 0, 'infinite', 'infinite', 0.43), plan('default', 2.8, 1.7, 23.7, 0.4),
      plan('strict', 8, 0.5, 6.7, 0.32), plan('user-level', 20, 0.2, 2.4, 0.17)
    ]
  }
}

/** A catalogue of 1,310 videos with viewers. */
function videos ({ q = '', offset = '0', limit = '25' }) {
  const all = Array.from({ length: 1310 }, (_, i) => ({
    url: `https://here.example/videos/watch/${i}`,
    title: `${TITLES[i % TITLES.length]} ${i}`,
    users: Math.max(1, 90 - i),
    given: {}
  }))
  const found = all.filter(({ title }) => q.toLowerCase().split(' ').every(word => title.toLowerCase().includes(word)))
  const shown = found.slice(Number(offset), Number(offset) + Number(limit))
  return { at: NOW, total: all.length, found: found.length, videos: shown }
}
