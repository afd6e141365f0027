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
import { Settings } from './settings.js'
import { DAY, NOW, key, said, sha, words } from './story.js'

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
    introduced_by: [],
    evidence: '',
    on_word_alone: false,
    sentences: [said('peerBothApprove')],
    ...values
  }
}

function notice (kind, at, subject, sentences, advice) {
  return { id: `${kind}:${subject}`, kind, at, subject, sentences, advice: said(advice), command: said(advice) }
}

const AGAINST = said('referenceLocal')
const REPORT = {
  verdict: 'awaiting',
  sentences: [said('reportHolds', { count: 2 }), said('reportUnchecked', { count: 1 })],
  at: NOW - 3 * 3600,
  checks: [
    { id: 'pairs-within-counts', ok: true, sentence: said('rulePairsHold'), value: 0, bound: 12.4 },
    { id: 'quality', ok: null, sentence: said('ruleQualityUnchecked'), value: null, bound: null },
    { id: 'exposure-videos-local', ok: true, sentence: said('ruleVideoGains', { against: AGAINST, name: 'https://reef.example/videos/watch/1', before: 0.002, after: 0.013 }), value: 0.011, bound: 0.03 }
  ],
  warnings: [said('warnGains', { against: AGAINST, name: 'https://reef.example/video-channels/news', before: 0.004, after: 0.02 })],
  gains: [
    {
      against: 'local',
      videos: [{ url: 'https://reef.example/videos/watch/1', title: '', before: 0.002, after: 0.013 }, { url: 'https://tide.example/videos/watch/2', title: '', before: 0, after: 0.008 }],
      channels: [{ name: 'https://reef.example/video-channels/news', before: 0.004, after: 0.02 }],
      hosts: [{ name: 'reef.example', before: 0.11, after: 0.131 }]
    }
  ],
  survivors: ['reef.example', 'harbour.example', 'lagoon.example', 'delta.example'],
  sums: [sha(71)]
}

const TOO_MUCH = said('ruleHostGainsTooMuch', { against: AGAINST, name: BAD, before: 0, after: 0.091 })
const HELD_REPORT = {
  ...REPORT,
  verdict: 'quarantined',
  sentences: [TOO_MUCH, said('reportWhose', { hosts: [...REPORT.survivors, BAD] })],
  at: NOW - 2 * DAY,
  checks: REPORT.checks.map(check => check.id === 'exposure-videos-local'
    ? { id: 'exposure-hosts-local', ok: false, sentence: TOO_MUCH, value: 0.091, bound: 0.03 }
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
    limits: [said('limitPast'), said('limitVideos', { host })]
  }
}

const film = (number, host, name, title) => ({
  uuid: `${number}1111111-2222-4333-8444-555555555555`,
  url: `https://${host}/videos/watch/${name}`,
  title,
  channel: `https://${host}/video-channels/sea`
})
const CROSSING = film(1, 'here.example', 'sea', 'Crossing the Channel in a small boat')
const BOAT = film(2, 'reef.example', 'boat', 'A boat of one’s own')
const TIDES = film(4, 'reef.example', 'tides', 'Tides and winds')
const KNOTS = film(5, 'here.example', 'knots', 'Knots for beginners')

export class Control {
  /** Every request: `{ method, path, query, body }`. */
  asked = []
  /** Answers 202 to a revert and lets it be followed. */
  slow = false
  settings = new Settings()
  /** Says some things that only a later daemon knows. */
  tomorrow = true

  constructor () {
    this.peers = [
      peer(1, 'reef.example', { max_users: 500 }),
      peer(2, 'harbour.example', { source: 'file' }),
      peer(3, 'lagoon.example', { state: 'paused', sentences: [said('peerIsPaused')] }),
      peer(4, 'delta.example', { theirs: 'unknown', failures: 4, retry_at: NOW + 7200, seen: NOW - 3 * DAY, sentences: [said('peerMayNotApprove'), said('peerRetried', { count: 4, at: NOW + 7200 })] }),
      peer(5, BAD, { bound: false, users: 20000 }),
      peer(6, ASKING, { state: 'candidate', source: 'asked', followed: false, theirs: 'asked', sentences: [said('peerAsksCompare')] }),
      peer(7, 'far-away.example', { state: 'candidate', theirs: 'unknown', key: '', words: [], bound: false, version: '', seen: null, users: null, sentences: [said('peerWithoutShoal')] }),
      peer(8, 'cove.example', { next_key: key(18), next_key_words: words(9), sentences: [said('peerNewKey')] }),
      peer(10, 'isle.example', { bound: true, source: 'circle', followed: false, introduced_by: ['reef.example'], evidence: '', on_word_alone: true, sentences: [said('peerBothApprove'), said('peerOnWordAlone')] }),
      peer(9, 'old.example', { state: 'removed', theirs: 'declined', sentences: [said('peerIsRemoved')] })
    ]
    this.models = [
      { id: AWAITING, created: NOW - 3 * 3600, kind: 'federated', state: 'awaiting', survivors: REPORT.survivors, quality: { held_out_ndcg10: 0.183, lambda: 200 }, report: REPORT, current: false },
      { id: HELD, created: NOW - 2 * DAY, kind: 'federated', state: 'quarantined', survivors: HELD_REPORT.survivors, quality: { held_out_ndcg10: 0.179 }, report: HELD_REPORT, current: false },
      { id: '20261101-090000-federated-0a0b0c', created: NOW - 19 * DAY, kind: 'federated', state: 'current', survivors: REPORT.survivors, quality: { held_out_ndcg10: 0.171 }, report: { ...REPORT, verdict: 'accepted', warnings: [], gains: [] }, current: true },
      { id: '20261101-085000-local-0f0f0f', created: NOW - 19 * DAY, kind: 'local', state: 'ready', survivors: [], quality: {}, report: null, current: false }
    ]
    this.ledger = Array.from({ length: 60 }, (_, i) => ({
      seq: i + 1,
      at: NOW - (60 - i) * 9000,
      ...[
        { kind: 'round', subject: sha(i), details: { roster: ['reef.example', 'harbour.example'], outcome: 'done', noise: 5.2 }, sentence: { code: 'ledger_refused', params: { host: 'reef.example' } } },
        { kind: 'peer-approved', subject: 'reef.example', details: { key: key(1), max_users: 500 }, sentence: { code: 'ledger_approved', params: { host: 'reef.example' } } },
        { kind: 'model', subject: '20261101-090000-federated-0a0b0c', details: { sha256: sha(i + 100) }, sentence: { code: 'ledger_modelTogether', params: { model: '20261101-090000-federated-0a0b0c', who: { code: 'ledger_hosts', params: { hosts: ['reef.example', 'delta.example'] } } } } },
        i % 8 === 7 ? { kind: 'group', subject: 'reef.example', details: { event: 'epoch', group: 'coast', sub_cohorts: 2 }, sentence: { code: 'ledger_groupEpochParts', params: { host: 'reef.example', group: 'coast', count: 9, parts: 2 } } } : { kind: 'of-tomorrow', subject: '', details: {}, sentence: { code: 'ledger_other', params: { kind: 'of-tomorrow', subject: '' } } }
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
    const settings = this.settings.answer({ method, path, query, body })
    if (settings) return structuredClone(settings)
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
        state: 'approved', key: body.key, ...(body.max_users ? { max_users: body.max_users } : {}), next_key: '', next_key_words: [], sentences: [said('peerBothApprove')]
      })
      case 'POST peers resume': return this.#change(subject, { state: 'approved', sentences: [said('peerBothApprove')] })
      case 'POST peers pause': return this.#change(subject, { state: 'paused', sentences: [said('peerIsPaused')] })
      case 'POST peers remove': return this.#change(subject, { state: 'removed', sentences: [said('peerIsRemoved')] })
      case 'POST peers revert': return this.#revert(subject, body)
      case 'GET reverts': return { reverts: this.reverts, running: this.running ? [this.running] : [], last: this.last }
      case 'GET share': return this.share()
      case 'GET rounds': return { rounds: this.rounds().slice(0, Number(query.limit ?? 50)) }
      case 'GET models': return { models: this.models }
      case 'POST models accept':
      case 'POST models reject': return this.#decide(subject, order)
      case 'GET models lists': return this.lists(subject)
      case 'POST models rollback': return this.#decide(subject, 'accept')
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
      missing: approved.filter(({ theirs }) => theirs !== 'approved').map(({ host }) => host),
      sentences: [mutual.length < 4
        ? said('cohortNeedsMore', { needed: 4, more: 4 - mutual.length })
        : said('cohortOneAnother', { needed: 4 })]
    }
  }

  waiting () {
    const at = NOW + 6 * DAY
    const videos = { cause: 'videos', sentences: [said('waitVideos', { old: 60, total: 340, at })], at, hosts: [], blocks: true }
    const approvals = {
      cause: 'approvals',
      sentences: [said('waitApprovals', { count: 1, total: 4 }), said('waitTheirs', { hosts: ['delta.example'] })],
      at: null,
      hosts: ['delta.example'],
      blocks: true
    }
    return { first: true, at: null, about: at, waits: [videos, approvals] }
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
      model: { id: '20261101-090000-federated-0a0b0c', kind: 'federated', trained: NOW - 19 * DAY, since: NOW - 19 * DAY, videos: 1430, quality: 0.171, survivors: REPORT.survivors },
      running: {},
      peers: { approved: 6, paused: 1, asking: asking.length },
      failed: [],
      cohort: this.cohort(),
      waiting: this.waiting(),
      group: this.group.membership?.state === 'member' ? { group: 'coast', host: this.group.membership.host, role: this.group.membership.role } : null,
      notices: [
        ...waiting.map(({ id, state, created, survivors }) => state === 'awaiting'
          ? notice('awaiting', created, id, [said('saidAwaiting', { hosts: survivors })], 'adviceAwaiting')
          : notice('quarantine', created, id, [said('saidQuarantine', { hosts: survivors }), TOO_MUCH], 'adviceQuarantine')),
        ...asking.map(({ host, since }) => notice('peer-request', since, host, [said('saidRequest', { host })], 'adviceRequest')),
        notice('key-changed', NOW - DAY, 'cove.example', [said('saidKey', { host: 'cove.example' })], 'adviceKey'),
        ...this.circle.waits
          ? [notice('introductions', NOW - DAY, 'reef.example', [said('saidIntroduces', { host: 'reef.example', count: 3 })], 'adviceIntroductions')]
          : [],
        notice('unreachable', NOW - 2 * DAY, 'delta.example', [said('saidUnreachable', { host: 'delta.example' })], 'adviceUnreachable'),
        notice('budget', NOW - 2 * DAY, 'here.example', [said('saidBudget')], 'adviceBudget'),
        notice('database-lost', NOW - 2 * DAY, 'here.example', [said('lostMissing'), said('lostPaused')], 'adviceLost'),
        ...this.tomorrow ? [notice('of-tomorrow', NOW - 2 * DAY, '', [said('Something new.')], 'Do something new.')] : []
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
    return {
      mode: 'contribute',
      kinds: [
        { id: 'counts', name: 'Counts of viewers', sentence: 'How many of your viewers engaged with each video, with noise, masked.' },
        { id: 'pairs', name: 'Counts of pairs', sentence: 'How many of your viewers engaged with both of two videos, with noise, masked.' },
        { id: 'card', name: 'The card', sentence: 'Host, public key and version of this instance.' }
      ],
      next: {
        aggregators: ['reef.example', 'harbour.example'],
        group: '',
        drawn: 'peers',
        members: ['here.example', 'reef.example', 'harbour.example'],
        total: 1310,
        users: 214,
        vocabulary: 1402,
        head_at_most: 1402,
        pairs_at_most: 982101,
        bytes_at_most: 3934012,
        verdicts: [
          { policy: 'members', reason: 'Sums are made with approved peers alone.', allowed: true, sentences: [said('shareCohort', { count: 5, needed: 4 })] },
          { policy: 'window', reason: 'One vector in a data window.', allowed: false, sentences: [said('shareNothingNew', { host: 'reef.example', at: NOW + 4 * DAY })] }
        ]
      },
      windows: [],
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
        sentence: said('suspectsPart', { count: 1, numbers: ['2'], hosts: [BAD, 'cove.example'] }),
        sub_cohorts: [
          { number: 1, members: ['reef.example', 'harbour.example', 'lagoon.example', 'delta.example'], verdict: 'accepted', reasons: [] },
          { number: 2, members: [BAD, 'cove.example', 'north.example', 'south.example'], verdict: 'quarantined', reasons: [TOO_MUCH] }
        ]
      }]
    }
  }

  related () {
    const reason = (kind, users, { tags = [], words = [], share = 1 } = {}) => ({ kind, text: 'x', users, tags, words, share, via: [] })
    const part = (kind, share, place, name = '') => ({ kind, name, share, place })
    return {
      model: 'm',
      video: CROSSING,
      videos: [
        { ...TIDES, reason: reason('co-engagement', 20), parts: [part('together', 0.62, 4), part('tag', 0.3, 1, 'sea'), part('popularity', 0.08, null)] },
        { ...KNOTS, reason: reason('tags', null, { tags: ['sea', 'boats'] }), parts: [part('tag', 0.6, null, 'sea'), part('word', 0.4, 3, 'boat')] },
        { uuid: '31111111-2222-4333-8444-555555555555', url: 'https://here.example/videos/watch/gone', title: '', channel: '', reason: reason('channel', null), parts: [] }
      ]
    }
  }

  lists (id) {
    return {
      model: id,
      served: this.models.find(({ current }) => current)?.id ?? null,
      differ: 41,
      of: 60,
      lists: [
        { ...CROSSING, before: [TIDES, KNOTS], after: [KNOTS, BOAT] },
        { ...KNOTS, before: [], after: [CROSSING] }
      ]
    }
  }

  #videos (q) {
    const videos = [CROSSING, BOAT]
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
    if (known) return Object.assign(known, { key: key(21), words: words(7), version: '0.1.0', sentences: [said('peerRunsShoal')] })
    const added = peer(20, host, { state: 'candidate', theirs: 'unknown', source: 'admin', followed: false, sentences: [said('peerRunsShoal')] })
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
    if (order === 'accept') {
      for (const model of this.models) Object.assign(model, { current: false, state: model.state === 'current' ? 'ready' : model.state })
      found.current = true
    }
    found.state = order === 'accept' ? 'current' : 'deleted'
    return { models: this.models }
  }

  #revert (host, { dry_run: preview }) {
    const report = revertReport(host, preview)
    const finish = () => {
      this.running = null
      this.last = { host, dry_run: preview, at: NOW, report, problem: null }
      if (preview) return
      this.#change(host, { state: 'reverted', sentences: [said('peerIsReverted')] })
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
