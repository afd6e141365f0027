/** Instances that peers introduce, one for each thing that may stand for them or be in the way. */
import { DAY, NOW, key, said, words } from './story.js'

export const LONG_FOLLOWED = 'atoll.example'
export const ONLY_INTRODUCED = 'skerry.example'
export const CONTRADICTED = 'maelstrom.example'
export const UNREAD = 'an-instance-whose-name-is-far-longer-than-the-others.video.example'

function introduced (seed, host, values = {}) {
  return {
    host,
    key: key(seed),
    words: words(seed),
    state: 'candidate',
    bound: true,
    vouchers: ['reef.example'],
    contradicted_by: [],
    followed: false,
    followed_since: null,
    videos: 0,
    videos_since: null,
    evidence: '',
    open: true,
    ticked: false,
    answered: false,
    sentence: said('circleOnWordAlone'),
    ...values
  }
}

export class Circle {
  constructor () {
    this.instances = [
      introduced(31, LONG_FOLLOWED, {
        followed: true, followed_since: NOW - 400 * DAY, videos: 1234, videos_since: NOW - 380 * DAY, evidence: 'followed', ticked: true, sentence: said('circleFollowed')
      }),
      introduced(32, 'cape.example', {
        vouchers: ['harbour.example', 'reef.example'], evidence: 'vouched', ticked: true, sentence: said('circleVouched')
      }),
      introduced(33, ONLY_INTRODUCED, { videos: 3, videos_since: NOW - 4 * DAY }),
      introduced(34, CONTRADICTED, {
        open: false, vouchers: [], contradicted_by: ['reef.example'], sentence: said('circleOtherKey')
      }),
      introduced(35, UNREAD, {
        open: false, key: '', words: [], bound: false, sentence: said('circleWithoutCard')
      }),
      introduced(36, 'harbour.example', { state: 'approved', open: false, sentence: said('circleApproved') })
    ]
    this.introduced = [
      { recipient: 'reef.example', hosts: ['delta.example', 'harbour.example'], taken: NOW - 2 * DAY },
      { recipient: 'delta.example', hosts: ['harbour.example', 'reef.example'], taken: null }
    ]
    this.possible = ['delta.example', 'harbour.example', 'reef.example']
  }

  get waits () {
    return this.instances.some(({ open, answered }) => open && !answered)
  }

  answer (method, what, order, body) {
    if (what === 'introductions') return this.#introductions(method, body)
    if (method === 'POST' && order === 'approve') {
      for (const { host, key: shown } of body.ticked) {
        const one = this.instances.find(known => known.host === host && known.key === shown && known.open)
        Object.assign(one, { state: 'approved', open: false, sentence: said('circleApproved') })
      }
      for (const host of body.left) this.instances.find(known => known.host === host).answered = true
    }
    return {
      introducers: [
        { host: 'harbour.example', said: NOW - DAY, until: NOW + 29 * DAY, instances: 1 },
        { host: 'reef.example', said: NOW - 2 * DAY, until: NOW + 28 * DAY, instances: 6 }
      ],
      instances: this.instances
    }
  }

  #introductions (method, body) {
    if (method === 'POST') {
      const hosts = this.possible.filter(host => !body.leave_out?.includes(host))
      const recipients = body.stop ? [] : body.to ? [body.to] : hosts
      this.introduced = recipients.map(recipient => (
        { recipient, hosts: hosts.filter(host => host !== recipient), taken: null }))
    }
    return { introduced: this.introduced, possible: this.possible }
  }
}
