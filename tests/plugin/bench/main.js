/**
 * Times of the plugin on a large instance: `npm run bench`. The database runs in a worker thread (PGlite, which is
 * slower than a PostgreSQL server), daemon and reader in processes of their own.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'

import { Database } from '../host/database.js'
import { createHost } from '../host/host.js'
import { schema } from '../host/schema.js'
import { SIZE, fill } from './data.js'
import { HEADER, line, percentiles, watchLoop } from './measure.js'

const ROUNDS = Number(process.argv[2] ?? 200)
const PAGE = 1000
const child = (file, ...args) => fork(new URL(file, import.meta.url), args)
const say = text => process.stdout.write(`${text}\n`)
let failed = false
const must = (holds, text) => {
  say(`${holds ? 'holds' : 'FAILS'}: ${text}`)
  failed ||= !holds
}

const database = await Database.open()
await database.rows(schema(8))
const began = performance.now()
await fill(database)
say(`${Object.entries(SIZE).map(([name, count]) => `${count} ${name}`).join(', ')}: filled in ` +
  `${((performance.now() - began) / 1000).toFixed(1)} s`)

const daemon = child('./daemon-process.js')
const [daemonUrl] = await once(daemon, 'message')
const tell = async message => {
  daemon.send(message)
  await once(daemon, 'message')
}
const host = await createHost({
  database, saved: { 'daemon-url': daemonUrl, 'federation-url': daemonUrl, 'related-list': true, consent: 'opt-in' }
})
let waited = 0
await host.load({
  fetch: async (...args) => {
    const start = performance.now()
    try {
      return await fetch(...args)
    } finally {
      waited += performance.now() - start
    }
  }
})
await database.rows('INSERT INTO plugin_shoal_choice ("userId", training, personal) SELECT id, true, false FROM "user" WHERE id % 10 > 0')

// ------------------------------------------------------------------- export
say(`\nExport in pages of ${PAGE}, read by another process\n${HEADER}`)
const reader = child('./export-client.js', host.url + host.base, host.secret, String(PAGE))
let stop = watchLoop()
const stood = []
reader.on('message', ({ begin, name, pages, rows, bytes, total }) => {
  if (begin) {
    stop()
    stop = watchLoop()
    return
  }
  const late = stop()
  stood.push(...late)
  say(line(`${name}: ${rows} rows, ${(bytes / 1e6).toFixed(0)} MB, ${(total / 1000).toFixed(1)} s; one page`, pages))
  say(line('  event loop stood still', late))
})
await once(reader, 'exit')
must(percentiles(stood).max < 50, 'the event loop never stood still for 50 ms')

// ------------------------------------------------------------------ related
const videos = await database.rows(`
  SELECT v.id, v.uuid, v.url, array_agg(t.name) AS tags FROM video v
  JOIN "videoTag" vt ON vt."videoId" = v.id JOIN tag t ON t.id = vt."tagId"
  WHERE v.privacy = 1 AND NOT v.nsfw AND v.id % 37 = 0 GROUP BY v.id ORDER BY v.id LIMIT ${ROUNDS + 60}`)
await tell({ videos: videos.slice(-30).map(({ uuid, url }) => ({ uuid, url })), mode: 'well' })

const spent = { added: [], own: [], query: [] }
const filters = ['filter:api.search.videos.local.list.params', 'filter:api.search.videos.local.list.result']
for (const name of filters) {
  for (const hook of host.hooks.get(name)) {
    const { handler } = hook
    hook.handler = async (...args) => {
      const start = performance.now()
      const result = await handler(...args)
      spent.now += performance.now() - start
      return result
    }
  }
}
const rows = database.rows.bind(database)
database.rows = async (sql, bind) => {
  const start = performance.now()
  const result = await rows(sql, bind)
  if (sql.includes('WITH found')) spent.query.push(performance.now() - start)
  return result
}

async function round (label, { same = false, before = async () => {} } = {}) {
  const whole = []
  spent.added = []
  spent.own = []
  spent.query = []
  await host.save(host.saved)
  for (let i = 0; i < ROUNDS; i++) {
    const { uuid, tags } = videos[same ? i % 3 : i]
    await before()
    spent.now = waited = 0
    const start = performance.now()
    const response = await host.related(uuid, { tags })
    await response.arrayBuffer()
    whole.push(performance.now() - start)
    spent.added.push(spent.now)
    spent.own.push(spent.now - waited)
  }
  say(line(label, whole))
  return { whole, added: spent.added, own: spent.own, query: spent.query }
}

say(`\nThe watch page's search, ${ROUNDS} times each\n${HEADER}`)
await host.save({ ...host.saved, 'related-list': false })
await round('(warming up)')
const off = await round('switched off: PeerTube alone')
await host.save({ ...host.saved, 'related-list': true })
const fresh = await round('daemon well, each video for the first time')
const kept = await round('daemon well, list in memory', { same: true })
for (const mode of ['hanging', 'slow', 'nonsense', 'answering 10 MB']) {
  await tell({ mode })
  await round(`daemon ${mode}`)
}
await host.save({ ...host.saved, 'daemon-url': 'http://127.0.0.1:1' })
const down = await round('daemon down')

say(`\nPlugin's own part of that\n${HEADER}`)
say(line('list in memory', kept.added.slice(3)))
say(line('daemon asked, without waiting for its answer', fresh.own))
say(line('daemon asked, its answer over loopback included', fresh.added))
say(line('daemon down', down.added))
say(`\nPeerTube's query\n${HEADER}`)
say(line('stock: by tags, newest first', off.query))
say(line('for the given uuids', kept.query))
must(percentiles(kept.added.slice(3)).p99 < 10, 'the plugin adds less than 10 ms (p99) to a list in memory')
must(percentiles(fresh.own).p99 < 10, 'the plugin adds less than 10 ms (p99) of its own when it asks the daemon')

await host.close()
await database.close()
daemon.kill()
process.exitCode = failed ? 1 : 0
