import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'

import { ManualClock } from '../host/clock.js'
import { OPT_OUT, fixture, pages } from './fixture.js'

for (const major of [7, 8]) {
  describe(`the invitation to take part on PeerTube ${major}`, () => {
    let world, clock, viewer
    before(async () => {
      clock = new ManualClock()
      world = await fixture({ major, parts: { clock } })
    })
    after(() => world.close())
    beforeEach(async () => {
      clock.today = () => '2026-02-28'
      viewer = await world.seed.user()
    })
    const asks = async (user = viewer) => (await world.call('GET', 'viewer/v1/invitation', { user })).body
    const dismiss = async (user = viewer) => {
      assert.equal((await world.call('DELETE', 'viewer/v1/invitation', { user })).status, 204)
    }
    const choose = json => world.call('PUT', 'viewer/v1/choice', { user: viewer, json })
    const stored = (user = viewer) => world.database.rows(
      'SELECT "userId", "dismissedOn"::text AS day FROM plugin_shoal_invitation WHERE "userId" = $1', [user.id])

    test('is for who has not chosen about taking part', async () => {
      assert.deepEqual(await asks(), { asks: true })
      await choose({ personal: true })
      assert.deepEqual(await asks(), { asks: true }, 'this is not about taking part')
      await choose({ training: true })
      assert.deepEqual(await asks(), { asks: false })
      await choose({ training: false })
      assert.deepEqual(await asks(), { asks: false }, 'a no is a choice as well')
    })

    test('comes back a year after it was dismissed, and not a day before', async () => {
      await dismiss()
      for (const [day, expected] of [['2026-02-28', false], ['2027-02-27', false], ['2027-02-28', true]]) {
        clock.today = () => day
        assert.deepEqual(await asks(), { asks: expected }, day)
      }
      await dismiss()
      assert.deepEqual(await stored(), [{ userId: viewer.id, day: '2027-02-28' }])
      assert.deepEqual(await asks(), { asks: false })
    })

    test('is dismissed for this viewer alone, without a choice', async () => {
      await dismiss()
      assert.deepEqual(await asks(world.creator), { asks: true })
      const { chosen, training } = (await world.call('GET', 'viewer/v1/choice', { user: viewer })).body
      assert.deepEqual([chosen, training], [false, false])
    })

    test('leaves a day and nothing else, which no export holds', async () => {
      await dismiss()
      const columns = await world.database.rows(
        'SELECT column_name AS name, data_type AS type FROM information_schema.columns WHERE table_name = \'plugin_shoal_invitation\'')
      assert.deepEqual(columns.map(({ name, type }) => [name, type]).sort(), [['dismissedOn', 'date'], ['userId', 'integer']])
      assert.deepEqual(await stored(), [{ userId: viewer.id, day: '2026-02-28' }])
      const said = [(await world.export('status')).body, await pages(world, 'participants?rates=99&history=99')]
      assert.doesNotMatch(JSON.stringify(said), /2026-02-28|dismissed|invitation/)
    })

    test('is forgotten with a choice, a withdrawal, the account, and a year later', async () => {
      await dismiss()
      await choose({ personal: true })
      assert.equal((await stored()).length, 1)
      await choose({ training: true })
      assert.deepEqual(await stored(), [])

      await dismiss()
      world.daemon.on('/v1/viewers/forget', (_request, response) => { response.writeHead(204).end() })
      assert.equal((await world.call('POST', 'viewer/v1/withdraw', { user: viewer })).status, 204)
      assert.deepEqual(await stored(), [])
      assert.deepEqual(await asks(), { asks: false }, 'a withdrawal is a choice')

      await dismiss()
      await world.database.rows('DELETE FROM "user" WHERE id = $1', [viewer.id])
      assert.deepEqual(await stored(), [])

      const old = await world.seed.user()
      await dismiss(old)
      clock.today = () => '2027-02-28'
      await dismiss(await world.seed.user())
      assert.deepEqual(await stored(old), [])
    })

    test('is for nobody who has the history off, nor where the admin does not want it or viewers have to refuse', async () => {
      await world.database.rows('UPDATE "user" SET "videosHistoryEnabled" = false WHERE id = $1', [viewer.id])
      assert.deepEqual(await asks(), { asks: false })
      await world.database.rows('UPDATE "user" SET "videosHistoryEnabled" = true WHERE id = $1', [viewer.id])

      assert.equal(world.host.declared.find(({ name }) => name === 'invitation').default, true)
      for (const [saved, expected] of [[{ invitation: false }, false], [OPT_OUT, false], [{ consent: 'opt-out' }, true], [{}, true]]) {
        const before = world.host.saved
        await world.host.save({ ...before, ...saved })
        assert.deepEqual(await asks(), { asks: expected }, JSON.stringify(saved))
        await world.host.save(before)
      }
    })
  })
}
