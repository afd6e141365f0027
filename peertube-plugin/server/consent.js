'use strict'

const { TABLES } = require('./sql.js')

/**
 * The plugin's own tables: viewers' choices, whether they want to be asked, what they hid, what owners and the admin took out. Rows go with the user,
 * video or channel that they are about.
 *
 * @typedef {(sql: string, options?: { bind?: unknown[] }) => Promise<any>} Query
 * @typedef {{ kind: 'channel' | 'host' | 'video', value: string }} Exclusion
 * @typedef {typeof DISCOVERY[number]} Discovery how far lists lead away from what everybody watches
 */

const DISCOVERY = /** @type {const} */ (['familiar', 'balanced', 'explore'])
const DEFINITIONS = [
  `CREATE TABLE IF NOT EXISTS ${TABLES.choice} (
    "userId" integer PRIMARY KEY REFERENCES "user" (id) ON DELETE CASCADE,
    training boolean,
    personal boolean,
    "updatedAt" timestamptz NOT NULL DEFAULT now()
  )`,
  // Not a column of the choices: their time tells when somebody consented.
  `CREATE TABLE IF NOT EXISTS ${TABLES.discovery} (
    "userId" integer PRIMARY KEY REFERENCES "user" (id) ON DELETE CASCADE,
    discovery varchar(16) NOT NULL CHECK (discovery IN ('${DISCOVERY.join('\', \'')}'))
  )`,
  // A day, without its time: it is only there so that nobody is asked twice in a year.
  `CREATE TABLE IF NOT EXISTS ${TABLES.invitation} (
    "userId" integer PRIMARY KEY REFERENCES "user" (id) ON DELETE CASCADE,
    "dismissedOn" date NOT NULL
  )`,
  `CREATE TABLE IF NOT EXISTS ${TABLES.hidden} (
    id serial PRIMARY KEY,
    "userId" integer NOT NULL REFERENCES "user" (id) ON DELETE CASCADE,
    "videoId" integer REFERENCES video (id) ON DELETE CASCADE,
    "channelId" integer REFERENCES "videoChannel" (id) ON DELETE CASCADE,
    "createdAt" timestamptz NOT NULL DEFAULT now(),
    CHECK (("videoId" IS NULL) <> ("channelId" IS NULL)),
    UNIQUE ("userId", "videoId"),
    UNIQUE ("userId", "channelId")
  )`,
  `CREATE TABLE IF NOT EXISTS ${TABLES.channel} (
    "channelId" integer PRIMARY KEY REFERENCES "videoChannel" (id) ON DELETE CASCADE,
    "createdAt" timestamptz NOT NULL DEFAULT now()
  )`,
  `CREATE TABLE IF NOT EXISTS ${TABLES.exclusion} (
    kind varchar(16) NOT NULL CHECK (kind IN ('channel', 'host', 'video')),
    value varchar(2000) NOT NULL,
    PRIMARY KEY (kind, value)
  )`
]
const MAX_HIDDEN = 5000

class Consent {
  #query

  /** @param {Query} query */
  constructor (query) {
    this.#query = query
  }

  async createTables () {
    for (const definition of DEFINITIONS) await this.#query(definition)
  }

  async dropTables () {
    for (const table of Object.values(TABLES)) await this.#query(`DROP TABLE IF EXISTS ${table}`)
  }

  /**
   * Keep a viewer's choice; what is not given stays as it was.
   *
   * @param {number} userId
   * @param {{ training?: boolean, personal?: boolean }} choice
   */
  async choose (userId, { training, personal }) {
    await this.#query(
      `INSERT INTO ${TABLES.choice} ("userId", training, personal) VALUES ($1, $2, $3)
       ON CONFLICT ("userId") DO UPDATE SET
         training = COALESCE($2, ${TABLES.choice}.training),
         personal = COALESCE($3, ${TABLES.choice}.personal),
         "updatedAt" = now()`,
      { bind: [userId, training ?? null, personal ?? null] }
    )
    // Who has chosen is asked no more.
    if (training !== undefined) await this.#query(`DELETE FROM ${TABLES.invitation} WHERE "userId" = $1`, { bind: [userId] })
  }

  /** A viewer does not want to be asked for a year. @param {number} userId @param {string} today as YYYY-MM-DD */
  async dismissInvitation (userId, today) {
    await this.#query(`DELETE FROM ${TABLES.invitation} WHERE "dismissedOn" <= $1::date - interval '1 year'`, { bind: [today] })
    await this.#query(
      `INSERT INTO ${TABLES.invitation} ("userId", "dismissedOn") VALUES ($1, $2::date)
       ON CONFLICT ("userId") DO UPDATE SET "dismissedOn" = excluded."dismissedOn"`,
      { bind: [userId, today] }
    )
  }

  /** Keep how far lists lead a viewer. @param {number} userId @param {Discovery | null} discovery null: no choice */
  async setDiscovery (userId, discovery) {
    await this.#query(
      discovery === null
        ? `DELETE FROM ${TABLES.discovery} WHERE "userId" = $1`
        : `INSERT INTO ${TABLES.discovery} ("userId", discovery) VALUES ($1, $2)
           ON CONFLICT ("userId") DO UPDATE SET discovery = excluded.discovery`,
      { bind: discovery === null ? [userId] : [userId, discovery] }
    )
  }

  /** @param {number} userId @param {{ videoId?: number, channelId?: number }} target */
  async hide (userId, { videoId, channelId }) {
    await this.#query(
      `INSERT INTO ${TABLES.hidden} ("userId", "videoId", "channelId")
       SELECT $1::integer, $2::integer, $3::integer
       WHERE (SELECT count(*) FROM ${TABLES.hidden} WHERE "userId" = $1::integer) < ${MAX_HIDDEN}
       ON CONFLICT DO NOTHING`,
      { bind: [userId, videoId ?? null, channelId ?? null] }
    )
  }

  /** @param {number} userId @param {{ id?: number, videoId?: number, channelId?: number }} target */
  async show (userId, { id, videoId, channelId }) {
    await this.#query(
      `DELETE FROM ${TABLES.hidden}
       WHERE "userId" = $1 AND (id = $2::integer OR "videoId" = $3::integer OR "channelId" = $4::integer)`,
      { bind: [userId, id ?? null, videoId ?? null, channelId ?? null] }
    )
  }

  /** @param {number} channelId @param {boolean} excluded */
  async excludeChannel (channelId, excluded) {
    await this.#query(
      excluded
        ? `INSERT INTO ${TABLES.channel} ("channelId") VALUES ($1) ON CONFLICT DO NOTHING`
        : `DELETE FROM ${TABLES.channel} WHERE "channelId" = $1`,
      { bind: [channelId] }
    )
  }

  /** Put the admin's exclusions in place of what was there, in one statement. @param {Exclusion[]} exclusions */
  async replaceExclusions (exclusions) {
    const kinds = exclusions.map(({ kind }) => kind)
    const values = exclusions.map(({ value }) => value)
    await this.#query(
      `WITH wanted AS (
         SELECT DISTINCT kind, value FROM unnest($1::varchar[], $2::varchar[]) AS w (kind, value)
       ), gone AS (
         DELETE FROM ${TABLES.exclusion} e
         WHERE NOT EXISTS (SELECT 1 FROM wanted w WHERE w.kind = e.kind AND w.value = e.value)
       )
       INSERT INTO ${TABLES.exclusion} (kind, value) SELECT kind, value FROM wanted ON CONFLICT DO NOTHING`,
      { bind: [kinds, values] }
    )
  }
}

module.exports = { Consent, DISCOVERY }
