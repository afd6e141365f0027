/**
 * The group of a made-up daemon: in none at first; "coast", hosted by reef.example, can be joined, or a group be hosted.
 *
 *   group.hosts()      // the instance hosts "coast", two ask to join
 *   group.isMember()   // it is a member of "coast"
 */
import { DAY, NOW, key, sha, words } from './story.js'

const HOST = 'reef.example'
const ME = 'here.example'
export const WISHES = ['tide.example', 'cove.example']

const seen = (host, seed, voucher) => ({ host, key: key(seed), voucher, url: `https://${host}`, why: '', words: words(seed) })
const member = (host, seed, values = {}) => ({
  host, key: key(seed), words: words(seed), state: 'member', role: host === HOST ? 'host' : 'member', me: host === ME,
  approved: 'no', part: null, waits: false, since: NOW - 9 * DAY, seen: null, ...values
})

export class Group {
  /** Hosts whose own domain shows another key. */
  liars = []

  constructor () {
    this.none()
  }

  none () {
    this.membership = null
    this.members = []
    this.requests = []
  }

  isMember (state = 'member') {
    this.membership = this.#standing({ role: 'member', state, host: HOST })
    if (state !== 'member') return
    this.membership.epoch = {
      number: 2, opened_at: NOW - 5 * DAY, sub_cohorts: 2, members: 9, mine: 1, gone: [], waiting: [], hash: sha(31)
    }
    this.membership.published = { run: sha(32), hash: sha(33), words: words(8) }
    this.members = [
      member(HOST, 1, { approved: 'yes', part: 2 }), member('harbour.example', 2, { approved: 'yes', part: 1 }),
      member(ME, 99, { approved: 'yes', part: 1 }),
      member('lagoon.example', 3, { part: 1 }), member('delta.example', 4, { part: 1 }),
      member('spam.example', 5, { approved: 'other-key', part: 2 }), member('old.example', 9, { part: 2 })
    ]
  }

  /** Its sums leave this instance out, for a reason: what the host said of it. */
  waits (why) {
    this.isMember()
    const told = { until: NOW + 20 * DAY, rejected_by: [], rejects: [], too_many: false, contradicted: [] }
    this.membership.waits = { ...told, ...why }
    Object.assign(this.membership.epoch, { mine: null, waiting: [ME] })
    Object.assign(this.members.find(({ me }) => me), { part: null, waits: true })
  }

  hosts (name = 'coast') {
    const counted = { approved: 4, of: 4, needed: 4, missing: 0, strangers: [] }
    this.membership = this.#standing({ group: name, role: 'host', state: 'member', host: ME, counted })
    this.members = [member(ME, 99, { role: 'host', approved: 'yes' })]
    if (name !== 'coast') return
    this.members.push(
      ...['harbour.example', 'lagoon.example', 'delta.example', 'bay.example'].map((host, i) => (
        member(host, i + 2, { approved: 'yes', seen: NOW - 600 * i }))),
      member('far-away.example', 6, { state: 'invited', approved: 'yes' }), member('old.example', 9, { state: 'ejected' }))
    this.requests = WISHES.map((host, i) => ({ host, key: key(12 + i), words: words(12 + i), since: NOW - i * DAY, peer: i ? 'other-key' : 'no' }))
  }

  #standing (values) {
    return {
      group: 'coast', url: `https://${HOST}`, since: NOW - 9 * DAY, next_at: null, polled: values.role === 'member' ? NOW - 600 : null,
      problem: '', connected: false, live: { link: '', hosting: values.role === 'host' ? 'ready' : '', running: false, problem: '' },
      epoch: null, gives: true, members_needed: 5, counted: { approved: 2, of: 3, needed: 4, missing: 2, strangers: ['lagoon.example', 'delta.example'] },
      published: null, waits: null, ...values
    }
  }

  answer (method, what, subject, order, body) {
    if (method === 'GET') return what === undefined ? this.#all() : undefined
    switch (what) {
      case 'look': return body.url.includes('reef.example') ? this.#offer() : undefined
      case 'join': return this.#then(() => this.isMember('asked'))
      case 'leave':
      case 'close': return this.#then(() => this.none())
      case 'host': return this.#then(() => this.hosts(body.name))
      case 'start': return this.#then(() => { this.membership.next_at = body.at ?? NOW + 7200 })
      case 'key': {
        const host = new URL(body.host.includes('://') ? body.host : `https://${body.host}`).host
        return seen(host, this.#seedOf(host), WISHES.includes(host) ? 'domain' : 'unread')
      }
      case 'invite': return this.#then(() => { this.members.push(member(body.host, 20, { state: 'invited', approved: 'yes' })) })
      case 'approve': return this.#approve(body.members)
      case 'members': return this.#decide(subject, order, body)
    }
  }

  #all () {
    const members = this.members.filter(({ state }) => state === 'member').length
    return {
      membership: this.membership && { ...this.membership, members },
      members: this.members,
      against: this.members.some(({ host }) => host === 'old.example') ? ['old.example'] : [],
      requests: this.requests,
      invitation: this.membership?.role === 'host'
        ? { group: this.membership.group, host: ME, url: `https://${ME}`, key: key(99), words: words(3), command: `shoal group join https://${ME} --group ${this.membership.group}`, public: false }
        : null
    }
  }

  #then (change) {
    change()
    return this.#all()
  }

  #seedOf (host) {
    return WISHES.includes(host) ? 12 + WISHES.indexOf(host) : 20
  }

  #offer () {
    return {
      group: 'coast',
      url: `https://${HOST}/plugins/shoal/router`,
      host: seen(HOST, 1, 'domain'),
      state: 'left',
      members: [HOST, 'harbour.example', 'lagoon.example'].map((host, i) => ({ host, key: key(i + 1), words: words(i + 1), approved: i ? 'no' : 'yes' }))
    }
  }

  #approve (wanted) {
    const good = wanted.filter(({ host }) => !this.liars.includes(host))
    for (const { host } of good) this.members.find(known => known.host === host).approved = 'yes'
    return {
      approved: good.map(({ host }) => seen(host, 1, 'domain')),
      not_approved: wanted.filter(one => !good.includes(one)).map(({ host }) => ({ host, problem: { code: 'refused', message: `${host} shows another key now`, advice: 'Compare the words once more.' } }))
    }
  }

  #decide (host, order) {
    const found = this.members.find(known => known.host === host)
    const wish = this.requests.find(known => known.host === host)
    if (!found && !wish) return undefined
    this.requests = this.requests.filter(one => one !== wish)
    if (order === 'eject') found.state = 'ejected'
    if (order === 'admit') this.members.push(member(host, 12, { approved: 'yes' }))
    if (order === 'refuse') this.members.push(member(host, 12, { state: 'refused' }))
    return this.#all()
  }
}
