import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { reasonText, SENTENCES } from '../../../peertube-plugin/client/lib/reasons.js'
import { loadTexts } from '../../../peertube-plugin/client/lib/texts.js'
import { ManualClock } from '../host/clock.js'
import { fixture, shown } from './fixture.js'

const CASES = JSON.parse(readFileSync(new URL('../reasons.json', import.meta.url), 'utf8'))
const FRENCH = JSON.parse(readFileSync(new URL('../../../peertube-plugin/languages/fr.json', import.meta.url), 'utf8'))

// Tags stand between marks that keep their direction of writing to themselves.
const plain = text => text.replace(/[\u2068\u2069]/g, '')

describe('a reason', () => {
  test('is said as the daemon says it', async () => {
    const say = await loadTexts({ translate: async text => text }, SENTENCES)
    for (const { reason, english } of CASES) assert.equal(plain(reasonText(reason, say)), english)
  })

  test('of every kind is said in French', async () => {
    const say = await loadTexts({ translate: async text => FRENCH[text] }, SENTENCES)
    for (const { reason, english } of CASES) {
      const text = plain(reasonText({ ...reason, text: english }, say))
      assert.ok(text !== '' && text !== english, `${reason.kind}: ${text}`)
    }
  })

  test('that explains less than half says that there are others', async () => {
    const english = await loadTexts({ translate: async text => text }, SENTENCES)
    const french = await loadTexts({ translate: async text => FRENCH[text] }, SENTENCES)
    for (const { reason } of CASES) {
      const [said, dit] = [english, french].map(say => reasonText(reason, say))
      for (const share of [1, 0.8, 0.5, null, undefined, '0.1']) {
        assert.equal(reasonText({ ...reason, share }, english), said, `${said}: ${share}`)
      }
      const isAlone = ['new', 'popular'].includes(reason.kind)
      for (const share of [0.49, 0]) {
        assert.equal(reasonText({ ...reason, share }, english), isAlone ? said : `${said}, among other reasons`)
        assert.equal(reasonText({ ...reason, share }, french), isAlone ? dit : `${dit}, entre autres raisons`)
      }
    }
    assert.equal(reasonText({ kind: 'of tomorrow', text: 'As the daemon says', share: 0.1 }, english), 'As the daemon says')
  })

  test('of every kind passes the server', async () => {
    const world = await fixture({ parts: { clock: new ManualClock() } })
    try {
      for (const kind of new Set(CASES.map(({ reason }) => reason.kind))) {
        const [current, a, b] = await Promise.all([1, 2, 3].map(() => world.seed.video(world.creator.channel)))
        const reason = { kind, text: 'x', users: 20, tags: ['bees', 'honey'], words: ['toy', 'story'], share: 0.25 }
        world.daemon.suggests([a, b], { ...reason, via: [b.uuid] })
        await shown(world, current.uuid)
        const { body } = await world.call('GET', `why/v1/reasons?video=${current.uuid}`)
        assert.deepEqual(body.reasons[a.uuid], reason)
      }
    } finally {
      await world.close()
    }
  })
})
