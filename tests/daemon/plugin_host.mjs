/**
 * The plugin in its host, as a process: writes one line of JSON when it listens, then does what each line on its
 * standard input says and answers with a line.
 */
import { createInterface } from 'node:readline'

import { createHost } from '../plugin/host/host.js'
import { PRIVACY, Seed } from '../plugin/host/seed.js'

const say = value => { process.stdout.write(`${JSON.stringify(value)}\n`) }
const host = await createHost({ major: Number(process.argv[2]) })
host.app.get('/api/v1/server/following', (_req, res) => {
  res.json({ total: 1, data: [{ following: { name: 'peertube', host: 'two.example' }, state: 'accepted' }] })
})
host.app.get('/accounts/peertube', (_req, res) => {
  const { url, publicKey } = host.actor
  res.json({ id: url, type: 'Application', publicKey: { owner: url, publicKeyPem: publicKey } })
})
// In front of the host's own answer to what it does not know.
const { stack } = host.app._router
stack.splice(2, 0, ...stack.splice(-2))
await host.load()
const seed = new Seed(host)
await seed.instance()
const users = []
for (let n = 0; n < 16; n++) users.push(await seed.user())
const remote = await seed.remote('far.example')
const videos = []
for (let n = 0; n < 24; n++) {
  const values = { tags: [n % 2 ? 'jazz' : 'chess'], language: n % 3 ? 'en' : 'fr' }
  videos.push(n % 8 === 7
    ? await seed.video(remote.channel, { ...values, host: remote.host })
    : await seed.video(users[n % 4].channel, values))
}
const hidden = []
for (const [name, privacy] of Object.entries(PRIVACY)) {
  if (privacy !== PRIVACY.public) hidden.push(await seed.video(users[0].channel, { privacy, name: `secret ${name}` }))
}
hidden.push(await seed.video(users[0].channel, { name: 'secret blocked' }))
await seed.blacklist(hidden.at(-1))
for (const [n, user] of users.entries()) {
  for (let step = 0; step < 6; step++) await seed.watch(user, videos[(n % 2) + 2 * ((n + 5 * step) % 12)], 80)
  await seed.rate(user.account, videos[(n % 2) + 2 * ((n + 2) % 12)], n % 5 ? 'like' : 'dislike')
  for (const video of hidden) await seed.watch(user, video, 90)
}
const route = (user, method, path, json) =>
  host.fetch(`/plugins/shoal/router/${path}`, { method, user: users[user], json })
// The last two never agreed.
for (let n = 0; n < 14; n++) await route(n, 'PUT', 'viewer/v1/choice', { training: true, personal: true })
say({ url: host.url, secret: host.secret, videos: videos.map(v => v.uuid), hidden: hidden.map(v => v.uuid) })

const actions = {
  daemon: ({ url, federation }) => host.save({
    ...host.saved, 'secret': host.secret, 'daemon-url': url, ...(federation && { 'federation-url': federation })
  }),
  call: async ({ user, method, path, json }) => {
    const response = await route(user, method, path, json)
    const text = await response.text()
    return { status: response.status, body: text ? JSON.parse(text) : null }
  },
  related: async ({ user, video }) => {
    const response = await host.related(video, user === null ? {} : { user: users[user] })
    return (await response.json()).data.map(({ uuid }) => uuid)
  },
  clear: ({ user }) => host.database.rows('DELETE FROM "userVideoHistory" WHERE "userId" = $1', [users[user].id]),
  delete: ({ user }) => host.database.rows('DELETE FROM "user" WHERE id = $1', [users[user].id])
}
for await (const line of createInterface({ input: process.stdin })) {
  const { do: name, ...parameters } = JSON.parse(line)
  say({ result: await actions[name](parameters) ?? null })
}
await host.close()
process.exit(0)
