import { Worker } from 'node:worker_threads'

/** A connection to PostgreSQL in a worker thread, with the part of Sequelize's `query` that the plugin uses. */
export class Database {
  /** @type {Promise<Database> | undefined} */
  static #shared
  #worker
  #next = 1
  #waiting = new Map()
  /** Every statement since the last `watch()`: tests assert on what was asked and with which values. */
  seen = []

  /** @param {{ directory?: string, copyOf?: Database }} [options] `copyOf`: begin with what is in that one now */
  static async open ({ directory, copyOf } = {}) {
    const database = new Database()
    const workerData = { directory, content: await copyOf?.#ask({ dump: true }) }
    const worker = new Worker(new URL('./database-worker.js', import.meta.url), { workerData })
    database.#worker = worker
    await new Promise((resolve, reject) => {
      worker.once('error', reject)
      worker.once('message', resolve)
    })
    worker.on('message', ({ id, rows, affected, error }) => {
      const { resolve, reject } = database.#waiting.get(id)
      database.#waiting.delete(id)
      if (error) reject(new Error(error))
      else resolve({ rows, affected })
    })
    return database
  }

  /** One for the whole process, empty again: starting one takes a second. It keeps no process alive. */
  static async shared () {
    Database.#shared ??= Database.open()
    const database = await Database.#shared
    await database.rows('DROP SCHEMA public CASCADE; CREATE SCHEMA public')
    return database
  }

  /** @returns {Promise<any[]>} the rows */
  rows (sql, bind) {
    return this.#ask({ sql, bind })
  }

  async #ask (question) {
    const id = this.#next++
    const answer = new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }))
    this.#worker.ref()
    this.#worker.postMessage({ id, ...question })
    try {
      return (await answer).rows
    } finally {
      if (this.#waiting.size === 0) this.#worker.unref()
    }
  }

  /** Sequelize's `query`: rows for `type: 'SELECT'`, else rows and metadata. Only bound values are supported. */
  query = async (sql, options = {}) => {
    if (options.replacements) throw new Error('pass values with bind')
    this.seen.push({ sql, bind: options.bind ?? [], type: options.type, useMaster: options.useMaster })
    const rows = await this.rows(sql, options.bind ?? [])
    return options.type === 'SELECT' ? rows : [rows, {}]
  }

  async close () {
    await this.#worker.terminate()
  }
}
