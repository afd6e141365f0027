/** Prints one answer of the stand-in for the daemon to each question and order, as lines of JSON: a test holds them to the daemon's types. */
import { ASKING, AWAITING, BAD, Control, HELD } from './control.js'
import { key } from './story.js'

const control = new Control()
control.tomorrow = false

function say (method, path, { route = path, body, query } = {}) {
  const { status, body: answer } = control.answer({ method, path, query, body })
  process.stdout.write(`${JSON.stringify({ method, path: `/${route}`, status, answer })}\n`)
}

for (const path of ['overview', 'peers', 'circle', 'introductions', 'reverts', 'share', 'rounds', 'models', 'suspects', 'ledger', 'group', 'timeline', 'network', 'jobs', 'effects', 'settings', 'settings/levels', 'share/videos']) {
  say('GET', path)
}
say('GET', 'videos', { query: { q: 'boat' } })
say('GET', 'related', { query: { video: 'x' } })
say('POST', 'peers', { body: { host: 'new.example' } })
say('POST', 'peers/candidates', { body: {} })
for (const order of ['approve', 'pause', 'resume', 'remove']) {
  say('POST', `peers/${ASKING}/${order}`, { route: `peers/{host}/${order}`, body: { key: key(6) } })
}
say('POST', 'circle/look', { body: {} })
say('POST', 'circle/approve', { body: { ticked: [], left: [] } })
say('POST', 'introductions', { body: { to: null, leave_out: [] } })
say('POST', 'group/look', { body: { url: 'https://reef.example' } })
say('POST', 'group/join', { body: {} })
control.group.isMember()
say('GET', 'group')
say('POST', 'group/approve', { body: { members: [{ host: 'lagoon.example', key: key(3) }] } })
control.group.liars = ['delta.example']
say('POST', 'group/approve', { body: { members: [{ host: 'delta.example', key: key(4) }] } })
control.group.waits({ too_many: true })
say('GET', 'group')
control.group.hosts()
say('GET', 'group')
say('POST', 'group/key', { body: { host: 'tide.example' } })
say('POST', 'group/start', { body: { at: null } })
control.slow = true
say('POST', `peers/${BAD}/revert`, { route: 'peers/{host}/revert', body: { dry_run: true } })
say('GET', 'reverts')
control.finish()
control.slow = false
say('POST', `peers/${BAD}/revert`, { route: 'peers/{host}/revert', body: { dry_run: false } })
say('GET', 'reverts')
say('POST', `models/${HELD}/reject`, { route: 'models/{id}/reject', body: {} })
say('POST', `models/${AWAITING}/accept`, { route: 'models/{id}/accept', body: {} })
say('GET', `models/${AWAITING}/lists`, { route: 'models/{id}/lists' })
say('POST', `models/${AWAITING}/rollback`, { route: 'models/{id}/rollback', body: {} })
