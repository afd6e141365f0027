/**
 * A daemon's admin API that answers from a story and remembers decisions: five instances around one that learns with
 * some of them, a peer that asks, a model that awaits a look, one that is quarantined, a year of measurements.
 *
 *   const control = new Control()
 *   control.answer({ method: 'GET', path: 'peers', query: {} })   // { status, body }
 */
import { Circle } from './circle.js'
import { Group } from './group.js'
import { effects, jobs, measured, network, next, timeline } from './history.js'
import { DAY, NOW, key, sha, words } from './story.js'

export const ASKING = 'tide.example'
export const BAD = 'spam.example'
export const AWAITING = '20261120-090000-federated-a1b2c3'
export const HELD = '20261118-090000-federated-d4e5f6'

function peer (seed, host, values = {}) {
  return {
    host,
    url: `https://${host}/plugins/shoal/router/federation/v1/message`,
    key: key(seed),
    words: words(seed),
    state: 'approved',
    theirs: 'approved',
    source: 'follow',
    bound: true,
    version: '0.1.0',
    followed: true,
    seen: NOW - 600 * seed,
    failures: 0,
    retry_at: null,
    max_users: null,
    users: 40 * seed,
    since: NOW - 90 * DAY,
    next_key: '',
    next_key_words: [],
    sentence: 'Both sides approve: it takes part in sums.',
    ...values
  }
}

const REPORT = {
  verdict: 'awaiting',
  at: NOW - 3 * 3600,
  checks: [
    { id: 'pairs', ok: true, sentence: 'Every pair is at most the smaller of its two counts, within the noise.', value: 0, bound: 12.4 },
    { id: 'quality', ok: null, sentence: 'Could not be checked: how well own viewers\' likes are predicted.', value: null, bound: null },
    { id: 'exposure', ok: true, sentence: 'No video, channel or host gains more than its share of the first ten places.', value: 0.011, bound: 0.03 }
  ],
  warnings: ['One channel gains 1.6% of the first ten places: news@reef.example.'],
  gains: [
    {
      against: 'local',
      videos: [{ url: 'https://reef.example/videos/watch/1', before: 0.002, after: 0.013 }, { url: 'https://tide.example/videos/watch/2', before: 0, after: 0.008 }],
      channels: [{ name: 'https://reef.example/video-channels/news', before: 0.004, after: 0.02 }],
      hosts: [{ name: 'reef.example', before: 0.11, after: 0.131 }]
    }
  ],
  survivors: ['reef.example', 'harbour.example', 'lagoon.example', 'delta.example'],
  sums: [sha(71)]
}

const HELD_REPORT = {
  ...REPORT,
  verdict: 'quarantined',
  at: NOW - 2 * DAY,
  checks: REPORT.checks.map(check => check.id === 'exposure'
    ? { ...check, ok: false, sentence: 'A video of spam.example gains 9.1% of the first ten places; 3% are allowed.', value: 0.091, bound: 0.03 }
    : check),
  survivors: [...REPORT.survivors, BAD]
}

function revertReport (host, preview) {
  const film = (id, title) => ({ url: `https://reef.example/videos/watch/${id}`, title })
  return {
    host,
    dry_run: preview,
    at: NOW,
    seconds_out_of_service: preview ? null : 1.84,
    served_before: '20261101-090000-federated-0a0b0c',
    served_now: '20261012-090000-federated-9f8e7d',
    basis: 'sub-cohorts',
    deleted: { sums: [sha(81), sha(82)], models: ['20261101-090000-federated-0a0b0c'] },
    changed: {
      lists: 212,
      of: 1430,
      examples: [
        {
          ...film('sea', 'Crossing the Channel in a small boat'),
          before: [{ url: `https://${host}/videos/watch/buy`, title: 'You will not believe this offer' }, film('tides', 'Tides and winds')],
          after: [film('tides', 'Tides and winds'), film('knots', 'Knots for beginners')]
        },
        { ...film('bread', 'Bread without kneading'), before: [film('oven', 'An oven in the garden')], after: [] }
      ]
    },
    exposure: { before: 0.094, after: 0.011 },
    quality: { before: 0.171, after: 0.174 },
    next_window: NOW + 4 * DAY,
    proof: preview ? '' : `proof: no stored sum or model names ${host}; served model 20261012-090000-federated-9f8e7d sha256 ${sha(9).slice(0, 12)} was trained from own viewers and sums [${sha(7).slice(0, 12)}] of [harbour.example, reef.example]`,
    limits: [
      'What viewers did because of earlier suggestions stays, and so do sums that other instances hold.',
      `Videos of ${host} stay in the catalogue, and may be suggested because of what your own viewers and other peers did. To hide them, mute the instance in PeerTube.`
    ]
  }
}

export class Control {
  /** Every request: `{ method, path, query, body }`. */
  asked = []
  /** Answers 202 to a revert and lets it be followed. */
  slow = false

  constructor () {
    this.peers = [
      peer(1, 'reef.example', { max_users: 500 }),
      peer(2, 'harbour.example', { source: 'file' }),
      peer(3, 'lagoon.example', { state: 'paused', sentence: 'You paused it: it takes part in no sum.' }),
      peer(4, 'delta.example', { theirs: 'asked', failures: 4, retry_at: NOW + 7200, seen: NOW - 3 * DAY, sentence: 'It has not answered for 3 days; it is tried again by itself.' }),
      peer(5, BAD, { bound: false, users: 20000 }),
      peer(6, ASKING, { state: 'candidate', source: 'asked', followed: false, theirs: 'asked', sentence: 'tide.example asks to learn together with this instance.' }),
      peer(7, 'far-away.example', { state: 'candidate', theirs: 'unknown', key: '', words: [], bound: false, version: '', seen: null, users: null, sentence: 'It is followed; whether it runs Shoal is not known yet.' }),
      peer(8, 'cove.example', { next_key: key(18), next_key_words: words(9), sentence: 'It uses a new key without a proof that it may.' }),
      peer(10, 'isle.example', { bound: true, source: 'circle', followed: false, introduced_by: ['reef.example'], evidence: '', on_word_alone: true, sentence: 'You approve each other. It was only introduced, and counts as a stranger until more stands for it.' }),
      peer(9, 'old.example', { state: 'removed', theirs: 'declined', sentence: 'You removed it.' })
    ]
    this.models = [
      { id: AWAITING, created: NOW - 3 * 3600, kind: 'federated', state: 'awaiting', survivors: REPORT.survivors, quality: { held_out_ndcg10: 0.183, lambda: 200 }, report: REPORT, current: false },
      { id: HELD, created: NOW - 2 * DAY, kind: 'federated', state: 'quarantined', survivors: HELD_REPORT.survivors, quality: { held_out_ndcg10: 0.179 }, report: HELD_REPORT, current: false },
      { id: '20261101-090000-federated-0a0b0c', created: NOW - 19 * DAY, kind: 'federated', state: 'current', survivors: REPORT.survivors, quality: { held_out_ndcg10: 0.171 }, report: { ...REPORT, verdict: 'accepted', warnings: [], gains: [] }, current: true },
      { id: '20261101-085000-local-0f0f0f', created: NOW - 19 * DAY, kind: 'local', state: 'ready', survivors: [], quality: {}, report: {}, current: false }
    ]
    this.ledger = Array.from({ length: 60 }, (_, i) => ({
      seq: i + 1,
      at: NOW - (60 - i) * 9000,
      ...[
        { kind: 'round', subject: sha(i), details: { roster: ['reef.example', 'harbour.example'], outcome: 'done', noise: 5.2 } },
        { kind: 'peer-approved', subject: 'reef.example', details: { key: key(1), max_users: 500 } },
        { kind: 'model', subject: '20261101-090000-federated-0a0b0c', details: { sha256: sha(i + 100) } },
        i % 8 === 7 ? { kind: 'group', subject: 'reef.example', details: { event: 'epoch', group: 'coast', sub_cohorts: 2 } } : { kind: 'of-tomorrow', subject: '', details: {} }
      ][i % 4],
      hash: sha(i + 200)
    }))
    this.reverts = []
    this.running = null
    this.last = null
    this.group = new Group()
    this.circle = new Circle()
  }

  answer ({ method, path, query = {}, body }) {
    this.asked.push({ method, path, query, body })
    const found = this.#find(method, path.split('/').map(decodeURIComponent), query, body)
    return found ? { status: 200, body: structuredClone(found) } : {
      status: 404, body: { code: 'not-found', message: 'nothing is known of this', advice: 'Look at the list again.' }
    }
  }

  #find (method, [what, subject, order, last], query, body) {
    if (what === 'group') return this.group.answer(method, subject, order, last, body)
    if (what === 'circle' || what === 'introductions') return this.circle.answer(method, what, subject, body)
    const asked = [method, what, order].filter(Boolean).join(' ')
    switch (asked) {
      case 'GET overview': return this.overview()
      case 'GET timeline': return timeline()
      case 'GET jobs': return jobs()
      case 'GET effects': return effects()
      case 'GET network': return network(this.peers.map(({ host }) => host))
      case 'GET peers': return this.#listing()
      case 'POST peers': return subject === 'candidates' ? this.#candidates() : this.#add(body)
      case 'POST peers approve': return this.#change(subject, {
        state: 'approved', key: body.key, ...(body.max_users ? { max_users: body.max_users } : {}), next_key: '', next_key_words: [], sentence: 'Both sides approve: it takes part in sums.'
      })
      case 'POST peers resume': return this.#change(subject, { state: 'approved', sentence: 'Both sides approve: it takes part in sums.' })
      case 'POST peers pause': return this.#change(subject, { state: 'paused', sentence: 'You paused it: it takes part in no sum.' })
      case 'POST peers remove': return this.#change(subject, { state: 'removed', sentence: 'You removed it.' })
      case 'POST peers revert': return this.#revert(subject, body)
      case 'GET reverts': return { reverts: this.reverts, running: this.running ? [this.running] : [], last: this.last }
      case 'GET share': return this.share()
      case 'GET rounds': return { rounds: this.rounds().slice(0, Number(query.limit ?? 50)) }
      case 'GET models': return { models: this.models }
      case 'POST models accept':
      case 'POST models reject': return this.#decide(subject, order)
      case 'GET suspects': return this.suspects()
      case 'GET ledger': return this.#ledger(Number(query.after ?? 0), Number(query.limit ?? 100))
      case 'GET videos': return this.#videos(query.q ?? '')
      case 'GET related': return this.related()
    }
  }

  cohort () {
    const approved = this.peers.filter(({ state }) => state === 'approved')
    const mutual = approved.filter(({ theirs }) => theirs === 'approved')
    return {
      approved: approved.length,
      mutual: mutual.length,
      on_word_alone: approved.filter(peer => peer.on_word_alone).length,
      needed: 4,
      sentence: mutual.length < 4 ? 'Until there are enough, this instance learns alone.' : 'That is enough for a sum.'
    }
  }

  waiting () {
    const videos = { cause: 'videos', sentence: '60 of 340 videos are old enough on 7 December', at: NOW + 6 * DAY, count: 60, total: 340, hosts: [], blocks: true }
    const approvals = { cause: 'approvals', sentence: '1 of 4 approvals is missing', at: null, count: 1, total: 4, hosts: ['delta.example'], blocks: true }
    const later = { cause: 'of-tomorrow', sentence: 'something new is missing', at: null, count: 0, total: 0, hosts: [], blocks: true }
    return { first: true, at: null, sentence: 'First shared suggestions about 7 December.', waits: [videos, approvals, later] }
  }

  overview () {
    const waiting = this.models.filter(({ state }) => state === 'awaiting' || state === 'quarantined')
    const asking = this.peers.filter(({ state, theirs }) => state === 'candidate' && theirs === 'asked')
    return {
      host: 'here.example',
      key: key(99),
      words: words(3),
      mode: 'contribute',
      level: 'default',
      next: next(),
      measured: measured(),
      model: { id: '20261101-090000-federated-0a0b0c', kind: 'federated', since: NOW - 19 * DAY, videos: 1430, survivors: REPORT.survivors },
      cohort: this.cohort(),
      waiting: this.waiting(),
      group: this.group.membership?.state === 'member' ? { group: 'coast', host: this.group.membership.host, role: this.group.membership.role } : null,
      notices: [
        ...waiting.map(({ id, state, created }) => ({
          id, kind: state === 'awaiting' ? 'awaiting' : 'quarantine', at: created, subject: id, sentence: state === 'awaiting' ? 'The first model learnt with others is ready, and waits for you.' : 'A model was quarantined. A video of spam.example gains 9.1% of the first ten places; 3% are allowed.', advice: 'Look at its report.'
        })),
        ...asking.map(({ host, since }) => ({ id: host, kind: 'peer-request', at: since, subject: host, sentence: `${host} asks to learn together with this instance.`, advice: '' })),
        { id: 'k', kind: 'key-changed', at: NOW - DAY, subject: 'cove.example', sentence: 'cove.example uses a new key, without proof that it may: sums leave it out until you decide.', advice: '' },
        ...(this.circle.waits ? [{ id: 'i', kind: 'introductions', at: NOW - DAY, subject: 'reef.example', sentence: 'reef.example introduces 3 instances.', advice: '' }] : []),
        { id: 'u', kind: 'unreachable', at: NOW - 2 * DAY, subject: 'delta.example', sentence: 'delta.example has not answered for more than a day.', advice: '' },
        { id: 'b', kind: 'budget', at: NOW - 2 * DAY, subject: '', sentence: 'The yearly budget for reef.example is spent.', advice: '' },
        { id: 'l', kind: 'database-lost', at: NOW - 2 * DAY, subject: 'here.example', sentence: 'shoal.db was missing, and a new one was begun. Approvals, the ledger, and what was decided against peers are lost. Every peer is paused until you approve it again.', advice: '' },
        { id: 't', kind: 'of-tomorrow', at: NOW - 2 * DAY, subject: '', sentence: 'Something new.', advice: 'Do something new.' }
      ],
      quality: Array.from({ length: 12 }, (_, i) => ({
        at: NOW - (11 - i) * 30 * DAY,
        model: i === 11 ? AWAITING : `model-${i}`,
        kind: i < 3 ? 'local' : 'federated',
        state: i === 11 ? 'awaiting' : i === 10 ? 'quarantined' : i === 9 ? 'current' : 'ready',
        local: 0.121 + 0.002 * i + (i % 3) * 0.004,
        federated: i < 3 ? null : 0.138 + 0.004 * i + (i % 2) * 0.005
      }))
    }
  }

  share () {
    const titles = ['Crossing the Channel in a small boat', 'Tides and winds', 'Knots for beginners', 'A night at sea', 'Reading the clouds']
    return {
      mode: 'contribute',
      kinds: [
        { id: 'counts', name: 'Counts of viewers', sentence: 'How many of your viewers engaged with each video, with noise, masked.' },
        { id: 'pairs', name: 'Counts of pairs', sentence: 'How many of your viewers engaged with both of two videos, with noise, masked.' },
        { id: 'card', name: 'The card', sentence: 'Host, public key and version of this instance.' }
      ],
      next: {
        aggregators: ['reef.example', 'harbour.example'],
        videos: titles.map((title, i) => ({ url: `https://here.example/videos/watch/${i}`, title, users: 90 - 13 * i })),
        shown: titles.length,
        total: 1310,
        users: 214,
        vocabulary: 1402,
        head_at_most: 1402,
        pairs_at_most: 982101,
        bytes_at_most: 3934012,
        verdicts: [
          { policy: 'members', reason: 'approved', allowed: true, sentence: 'All 4 members are approved by you.' },
          { policy: 'window', reason: 'same-window', allowed: false, sentence: 'New numbers leave from 24 November on; until then the same ones are given again.' }
        ]
      },
      left: Array.from({ length: 4 }, (_, i) => ({
        at: NOW - i * 7 * DAY,
        aggregator: ['reef.example', 'harbour.example', 'reef.example', 'own release'][i],
        round: i < 3 ? sha(60 + i) : '',
        vocabulary: 1290 + i,
        head: i < 3 ? 1000 : 0,
        bytes: 2000000 + i * 1000,
        sha256: sha(65 + i),
        window_ends: i ? null : NOW + 4 * DAY
      })),
      traffic: [
        { month: '2026-11', peer: 'reef.example', sent: 7412300, received: 512340 },
        { month: '2026-11', peer: 'harbour.example', sent: 3512345, received: 48 },
        { month: '2026-10', peer: 'reef.example', sent: 13904511, received: 1210000 }
      ]
    }
  }

  rounds () {
    return Array.from({ length: 33 }, (_, i) => ({
      id: sha(i + 300),
      role: { 4: 'host', 5: 'group' }[i] ?? (i % 2 ? 'member' : 'aggregator'),
      aggregator: i % 2 ? 'reef.example' : 'here.example',
      started: NOW - i * 40000,
      ended: i ? NOW - i * 40000 + 90 : null,
      outcome: ['running', 'done', 'abandoned', 'waiting'][i % 4],
      reason: i % 4 === 2 ? 'Fewer than 4 members answered in time.' : i % 4 === 3 ? 'Other sub-cohorts are tried again.' : '',
      // Only in a group does whoever adds up stand in its own roster.
      roster: [i % 2 && i !== 7 ? 'here.example' : 'reef.example', 'harbour.example', 'lagoon.example', 'delta.example', BAD],
      survivors: [i % 2 && i !== 7 ? 'here.example' : 'reef.example', 'harbour.example', 'delta.example', BAD],
      bytes_in: 120000 * i,
      bytes_out: 3400000,
      run: '',
      sub_cohort: i % 2 ? null : i % 3
    }))
  }

  suspects () {
    return {
      suspects: [{
        run: sha(400),
        at: NOW - 2 * DAY,
        sentence: 'Together the sub-cohorts did not pass; without sub-cohort 2 they do.',
        sub_cohorts: [
          { number: 1, members: ['reef.example', 'harbour.example', 'lagoon.example', 'delta.example'], verdict: 'accepted', reasons: [] },
          { number: 2, members: [BAD, 'cove.example', 'north.example', 'south.example'], verdict: 'quarantined', reasons: ['A video gains 9.1% of the first ten places; 3% are allowed.'] }
        ]
      }]
    }
  }

  related () {
    const reason = (kind, users, { tags = [], words = [], share = 1 } = {}) => ({ kind, text: 'x', users, tags, words, share, via: [] })
    return {
      model: 'm',
      videos: [
        { uuid: '1', url: 'https://reef.example/videos/watch/tides', title: 'Tides and winds', channel: 'https://reef.example/video-channels/sea', reason: reason('co-engagement', 20) },
        { uuid: '2', url: 'https://here.example/videos/watch/knots', title: 'Knots for beginners', channel: 'https://here.example/video-channels/sea', reason: reason('tags', null, { tags: ['sea', 'boats'] }) },
        { uuid: '3', url: 'https://here.example/videos/watch/gone', title: '', channel: '', reason: reason('channel', null) }
      ]
    }
  }

  #videos (q) {
    const videos = [
      { uuid: '11111111-2222-4333-8444-555555555555', url: 'https://here.example/videos/watch/sea', title: 'Crossing the Channel in a small boat', channel: 'https://here.example/video-channels/sea' },
      { uuid: '21111111-2222-4333-8444-555555555555', url: 'https://reef.example/videos/watch/boat', title: 'A boat of one’s own', channel: 'https://reef.example/video-channels/sea' }
    ]
    return { videos: videos.filter(({ title }) => title.toLowerCase().includes(q.toLowerCase())) }
  }

  #ledger (after, limit) {
    const entries = this.ledger.filter(({ seq }) => seq > after).slice(0, limit)
    const last = entries.at(-1)?.seq
    return { entries, next: last < this.ledger.length ? last : null, newest: this.ledger.length, verified: true, problem: '' }
  }

  #listing () {
    return { peers: this.peers, cohort: this.cohort(), followed: { total: 14, looked_at: 12, with_shoal: 6 } }
  }

  #change (host, values) {
    const found = this.peers.find(known => known.host === host)
    return found && Object.assign(found, values)
  }

  #add ({ host: typed }) {
    const host = new URL(typed.includes('://') ? typed : `https://${typed}`).host
    const known = this.peers.find(({ host: other }) => other === host)
    if (known) return Object.assign(known, { key: key(21), words: words(7), version: '0.1.0', sentence: 'It runs Shoal; approve it to learn together.' })
    const added = peer(20, host, { state: 'candidate', theirs: 'unknown', source: 'admin', followed: false, sentence: 'It runs Shoal; approve it to learn together.' })
    this.peers.push(added)
    return added
  }

  #candidates () {
    this.#add({ host: 'bay.example' })
    return this.#listing()
  }

  #decide (id, order) {
    const found = this.models.find(model => model.id === id)
    if (!found) return undefined
    if (order === 'accept') for (const model of this.models) model.current = model === found
    found.state = order === 'accept' ? 'current' : 'deleted'
    return { models: this.models }
  }

  #revert (host, { dry_run: preview }) {
    const report = revertReport(host, preview)
    const finish = () => {
      this.running = null
      this.last = { host, dry_run: preview, at: NOW, report, problem: null }
      if (preview) return
      this.#change(host, { state: 'reverted', sentence: 'It was taken out.' })
      this.reverts.unshift({ id: this.reverts.length + 1, at: NOW, host, report })
    }
    if (!this.slow) {
      finish()
      return report
    }
    this.finish = finish
    this.running = { host, dry_run: preview, started: NOW, stage: 'comparing lists', fraction: 0.4 }
    return this.running
  }
}
