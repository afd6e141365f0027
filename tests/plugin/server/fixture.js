import { once } from 'node:events'
import { get } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

import { FakeDaemon } from '../host/daemon.js'
import { createHost } from '../host/host.js'
import { Seed } from '../host/seed.js'

/** What an admin saves so that viewers take part unless they refuse. */
export const OPT_OUT = { consent: 'opt-out', 'opt-out-confirmation': 'viewers take part without having said yes' }

/** A host with an instance account, one creator, a fake daemon, and the plugin registered. */
export async function fixture ({ major = 8, saved = {}, parts } = {}) {
  const daemon = await FakeDaemon.start()
  const urls = { 'daemon-url': daemon.url, 'federation-url': daemon.url }
  const host = await createHost({ major, shared: true, saved: { 'related-list': true, ...urls, ...saved } })
  const seed = new Seed(host)
  await seed.instance()
  const creator = await seed.user('creator')
  await host.load(parts)
  const world = { host, seed, daemon, creator, database: host.database }
  world.call = (method, path, options = {}) => call(host, method, path, options)
  world.export = path => call(host, 'GET', `export/v1/${path}`, { secret: true })
  world.close = async () => {
    await host.close()
    await daemon.stop()
  }
  return world
}

async function call (host, method, path, { user, json, secret, headers } = {}) {
  const response = await host.fetch(host.base + path, {
    method, user, json, headers: { ...(secret ? { 'x-shoal-secret': host.secret } : {}), ...headers }
  })
  const text = await response.text()
  return { status: response.status, text, body: isJson(response) && text ? JSON.parse(text) : undefined }
}

function isJson (response) {
  return response.headers.get('content-type')?.startsWith('application/json')
}

/** The status of a GET whose path nothing corrects on the way. */
export async function asItStands (host, path, user) {
  const headers = user ? { authorization: `Bearer ${host.login(user)}` } : {}
  const [response] = await once(get({ host: '127.0.0.1', port: host.port, path: host.base + path, headers }), 'response')
  response.resume()
  return response.statusCode
}

/** All items of an export, page by page. @param {(page: { status: number, body: any }) => unknown} [between] */
export async function pages (world, path, { limit = 1000, between = () => {} } = {}) {
  const items = []
  let after = 0
  do {
    const page = await world.export(`${path}${path.includes('?') ? '&' : '?'}limit=${limit}&after=${after}`)
    if (page.status !== 200) throw new Error(page.text)
    items.push(...page.body.items)
    after = page.body.next
    if (after !== null) await between(page)
  } while (after !== null)
  return items
}

/** The uuids that the watch page would show. */
export async function shown (world, uuid, options) {
  const response = await world.host.related(uuid, options)
  const { data } = await response.json()
  return data.map(video => video.uuid)
}

/** Wait until something holds; for what happens in the background, never for time to pass. */
export async function until (holds) {
  const end = Date.now() + 30_000
  while (Date.now() < end) {
    if (await holds()) return
    await sleep(5)
  }
  throw new Error('it never happened')
}

/** One public video, and one of every kind that must never come out. */
export async function planted (world) {
  const { seed, creator } = world
  const hidden = {}
  for (const [name, privacy] of [['unlisted', 2], ['private', 3], ['internal', 4], ['password', 5]]) {
    hidden[name] = await seed.video(creator.channel, { privacy, name: `secret ${name}`, tags: ['sea'] })
  }
  hidden.blacklisted = await seed.video(creator.channel, { name: 'secret blacklisted', tags: ['sea'] })
  await seed.blacklist(hidden.blacklisted)
  hidden.transcoding = await seed.video(creator.channel, { name: 'secret transcoding', state: 2, tags: ['sea'] })
  const server = await seed.remote('muted.example')
  hidden.muted = await seed.video(server.channel, { name: 'secret muted', host: 'muted.example', tags: ['sea'] })
  await seed.insert('serverBlocklist', { accountId: 1, targetServerId: server.server.id })
  const blocked = await seed.user('blocked-creator')
  hidden.blockedAccount = await seed.video(blocked.channel, { name: 'secret blocked account', tags: ['sea'] })
  await seed.insert('accountBlocklist', { accountId: 1, targetAccountId: blocked.account.id })
  hidden.deleted = await seed.video(creator.channel, { name: 'secret deleted', tags: ['sea'] })
  await world.database.rows('DELETE FROM video WHERE id = $1', [hidden.deleted.id])
  return hidden
}
