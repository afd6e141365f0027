/** A year of a daemon: what happened with whom, who learns with whom, how its jobs stand. */
import { DAY, NOW, said } from './story.js'

const HOSTS = ['cove.example', 'delta.example', 'harbour.example', 'isle.example', 'reef.example', 'spam.example', 'lagoon.example']

export function timeline () {
  const events = (every, what, outcome, first = 0) => Array.from({ length: Math.floor(360 / every) }, (_, i) => (
    { what, at: NOW - (359 - first - i * every) * DAY, outcome })).filter(({ at }) => at <= NOW)
  const sorted = all => all.sort((a, b) => a.at - b.at)
  return {
    since: NOW - 366 * DAY,
    until: NOW,
    own: sorted([
      ...events(28, 'round', 'done'), ...events(90, 'round', 'failed', 12), ...events(20, 'model', 'alone', 3),
      ...events(28, 'model', 'together', 1),
      { what: 'model', at: NOW - 2 * DAY, outcome: 'held' },
      { what: 'revert', at: NOW - 200 * DAY, outcome: 'reverted' }
    ]),
    peers: HOSTS.map((host, place) => ({
      host,
      events: sorted([...events(28, 'round', place % 3 ? 'done' : 'left-out', place), ...events(35, 'window', 'given', place),
        ...(place ? [] : [{ what: 'round', at: NOW - 3600, outcome: 'running' }])])
    })),
    viewers: Array.from({ length: 200 }, (_, i) => (
      { day: NOW - (199 - i) * DAY, viewers: 40 + Math.round(i * 1.7 + 6 * Math.sin(i / 9)) }))
  }
}

export function network (hosts) {
  return {
    host: 'here.example',
    month: '2026-11',
    peers: hosts.map((host, place) => ({
      host,
      videos: 37 * place,
      last_round: place % 3 ? NOW - place * DAY : null,
      bytes: place * 1_234_567,
      bytes_before: 7_000_000,
      vouched_by: place === 8 ? ['reef.example'] : place === 4 ? ['reef.example', 'cove.example', 'harbour.example'] : []
    })),
    links: [
      ...HOSTS.slice(0, 6).map(host => ({ of: 'here.example', to: host, what: 'approved' })),
      ...HOSTS.slice(0, 5).map(host => ({ of: host, to: 'here.example', what: 'learns' })),
      { of: 'reef.example', to: 'harbour.example', what: 'learns' },
      { of: 'harbour.example', to: 'cove.example', what: 'learns' },
      { of: 'reef.example', to: 'isle.example', what: 'introduces' }
    ]
  }
}

export function jobs () {
  const job = (name, values = {}) => ({
    job: name, running: null, ended: NOW - 7200, seconds: 12, outcome: 'done', next: NOW + 4 * 3600, message: '', advice: '', ...values
  })
  return {
    alive: true,
    jobs: [
      job('sync'), job('train', { running: NOW - 60, next: null }),
      job('round', { outcome: 'failed', message: 'only 3 of 5 members answered', advice: 'It is tried again by itself.' }),
      job('consent', { ended: null, seconds: null, outcome: '', next: NOW + 300 }), job('prune'), job('of-tomorrow', { next: null })
    ]
  }
}

export function measured () {
  return {
    alone: { at: NOW - 3 * 3600, value: 0.151, low: 0.139, high: 0.163 },
    alone_why: null,
    together: { at: NOW - 3 * 3600, value: 0.187, low: 0.171, high: 0.203 },
    together_why: null
  }
}

export function next () {
  return [
    { what: 'sync', at: NOW + 4 * 3600, why: [said('nextEvery', { duration: '6h' })] },
    { what: 'training', at: NOW + 4 * 3600, why: [said('nextAfterSync')] },
    { what: 'window', at: NOW + 6 * DAY, why: [said('waitVideos', { old: 60, total: 340, at: NOW + 6 * DAY })] },
    { what: 'round', at: null, why: [said('waitApprovals', { count: 1, total: 4 })] }
  ]
}

export function effects () {
  const rate = (clicks, pages) => {
    const per = 1000 * clicks / pages
    return { pages, clicks, per_1000: per, low: 0.9 * per, high: 1.11 * per, why: null }
  }
  return {
    weeks: Array.from({ length: 20 }, (_, i) => ({
      at: NOW - (20 - i) * 7 * DAY,
      pages: 900 + i * 20,
      explained: 700 + i * 15,
      clicked: 60 + i,
      stock_clicked: 8 + i % 3,
      hidden: i % 4
    })),
    comparison: { since: NOW - 84 * DAY, ours: rate(812, 9400), stock: rate(91, 2100) },
    why: null
  }
}
