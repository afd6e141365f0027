/** PostgreSQL (PGlite) in a thread of its own, so that the main thread's event loop measures the plugin alone. */
import { PGlite, types } from '@electric-sql/pglite'
import { parentPort, workerData } from 'node:worker_threads'

// PeerTube's driver gives 64-bit integers and numerics as text; so does this one.
const parsers = { [types.INT8]: text => text, [types.NUMERIC]: text => text }
const database = await PGlite.create({
  dataDir: workerData.directory ?? undefined, loadDataDir: workerData.content && new Blob([workerData.content]), parsers
})

parentPort.on('message', async ({ id, sql, bind, dump }) => {
  try {
    if (dump) return parentPort.postMessage({ id, rows: await (await database.dumpDataDir('none')).arrayBuffer() })
    const result = bind ? await database.query(sql, bind) : (await database.exec(sql)).at(-1)
    parentPort.postMessage({ id, rows: result?.rows ?? [], affected: result?.affectedRows ?? 0 })
  } catch (error) {
    parentPort.postMessage({ id, error: error.message })
  }
})
parentPort.postMessage({ ready: true })
