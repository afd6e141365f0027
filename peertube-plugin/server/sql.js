'use strict'

/**
 * Every SELECT of the plugin. Values are always bound, never written into the text; what differs between PeerTube 7
 * and 8 is found by looking at the columns, not at the version.
 *
 * @typedef {(sql: string, options: { bind: unknown[], type?: 'SELECT', useMaster?: boolean }) => Promise<any[]>} Query
 *   with `useMaster` a SELECT goes to the primary database, also where PeerTube reads from replicas
 * @typedef {object} Shape
 * @property {'actorId' | 'reversed'} link
 * @property {'recommendationScope' | 'recommendationPolicy' | null} scope the column of what an owner accepts beside a
 *   video: 1 everything, 2 this instance, 3 the account, 4 the channel. PeerTube has had both names
 * @property {'firstPublishedAt' | null} first the column of when a video was published for the first time
 * @typedef {{ id: number, userId: number, url: string, type?: string, watched?: number, at: number }} Engagement
 */

const TABLES = {
  choice: 'plugin_shoal_choice',
  discovery: 'plugin_shoal_discovery',
  invitation: 'plugin_shoal_invitation',
  hidden: 'plugin_shoal_hidden',
  channel: 'plugin_shoal_excluded_channel',
  exclusion: 'plugin_shoal_exclusion',
  effect: 'plugin_shoal_effect'
}
/** What is counted by day; what each means is in the README. */
const EFFECTS = /** @type {const} */ ([
  'pages', 'explained', 'clicked', 'stockClicked', 'hidden', 'filled', 'stock', 'late', 'withoutVideo'
])

class Queries {
  #query
  #shape

  /** @param {Query} query @param {Shape} shape */
  constructor (query, shape) {
    this.#query = query
    this.#shape = shape
    // 7.x: a channel points to its actor. From 8.0 on: an actor points to its channel.
    this.channelActor = shape.link === 'actorId' ? 'ca.id = c."actorId"' : 'ca."videoChannelId" = c.id'
    this.public = `v.privacy = 1 AND v.state = 1
      AND NOT EXISTS (SELECT 1 FROM "videoBlacklist" b WHERE b."videoId" = v.id)
      AND NOT EXISTS (
        SELECT 1 FROM "accountBlocklist" b
        JOIN account me ON me.id = b."accountId" AND me."applicationId" IS NOT NULL
        JOIN "videoChannel" c ON c."accountId" = b."targetAccountId"
        WHERE c.id = v."channelId")
      AND NOT EXISTS (
        SELECT 1 FROM "serverBlocklist" b
        JOIN account me ON me.id = b."accountId" AND me."applicationId" IS NOT NULL
        JOIN actor ca ON ca."serverId" = b."targetServerId"
        JOIN "videoChannel" c ON ${this.channelActor}
        WHERE c.id = v."channelId")`
  }

  /** @param {Query} query */
  static async open (query) {
    const columns = await query(
      `SELECT table_name AS "table", column_name AS "column" FROM information_schema.columns
       WHERE table_schema = current_schema()
         AND (table_name, column_name) IN (('videoChannel', 'actorId'), ('video', 'recommendationScope'),
           ('video', 'recommendationPolicy'), ('video', 'firstPublishedAt'))`,
      { bind: [], type: 'SELECT' }
    )
    const known = new Set(columns.map(({ column }) => column))
    /** @template {string} T @param {T[]} names @returns {T | null} */
    const first = (...names) => names.find(name => known.has(name)) ?? null
    return new Queries(query, {
      link: known.has('actorId') ? 'actorId' : 'reversed',
      scope: first('recommendationScope', 'recommendationPolicy'),
      first: first('firstPublishedAt')
    })
  }

  get shape () {
    return this.#shape
  }

  /** @param {string} sql @param {unknown[]} [bind] */
  #rows (sql, bind = []) {
    return this.#query(sql, { bind, type: 'SELECT' })
  }

  /**
   * Of what people decided: a replica may not know yet that somebody withdrew.
   *
   * @param {string} sql
   * @param {unknown[]} [bind]
   */
  #decided (sql, bind = []) {
    return this.#query(sql, { bind, type: 'SELECT', useMaster: true })
  }

  /** @param {string} otherwise what stands for the column where PeerTube has none */
  #scope (otherwise) {
    return this.#shape.scope ? `v."${this.#shape.scope}"` : otherwise
  }

  // ------------------------------------------------------------------ export

  /** Highest ids now. @returns {Promise<{ rates: number, history: number }>} */
  async marks () {
    const [row] = await this.#decided(`
      SELECT COALESCE((SELECT max(id) FROM "accountVideoRate"), 0) AS rates,
             COALESCE((SELECT max(id) FROM "userVideoHistory"), 0) AS history`)
    return { rates: Number(row.rates), history: Number(row.history) }
  }

  /**
   * Pages of the public catalogue, by id. `stored` is when this PeerTube stored a video, by its own clock. The row of a
   * remote video has dates that its origin chose; what PeerTube made beside it, its playlist and files, has not.
   *
   * @param {{ after: number, limit: number }} page
   */
  videos ({ after, limit }) {
    // Who makes a video private and public again publishes it anew.
    const published = this.#shape.first ? 'COALESCE(v."firstPublishedAt", v."publishedAt")' : 'v."publishedAt"'
    return this.#rows(`
      SELECT v.id, v.url, v.uuid, v.name, v.category, v.language, v.nsfw, v.views, v.likes,
             EXTRACT(EPOCH FROM ${published})::float8 AS published,
             NOT v.remote AS own,
             EXTRACT(EPOCH FROM CASE WHEN v.remote
               THEN LEAST((SELECT min(p."createdAt") FROM "videoStreamingPlaylist" p WHERE p."videoId" = v.id),
                          (SELECT min(f."createdAt") FROM "videoFile" f WHERE f."videoId" = v.id))
               ELSE v."createdAt" END)::float8 AS stored,
             ${this.#scope('NULL')} AS scope,
             ca.url AS channel,
             ARRAY(SELECT t.name FROM "videoTag" vt JOIN tag t ON t.id = vt."tagId"
                   WHERE vt."videoId" = v.id ORDER BY t.id) AS tags
      FROM video v
      JOIN "videoChannel" c ON c.id = v."channelId"
      JOIN actor ca ON ${this.channelActor}
      WHERE v.id > $1 AND ${this.public}
      ORDER BY v.id LIMIT $2`, [after, limit])
  }

  /** Users who take part; `$n` is what holds for those who never chose. @param {string} byDefault placeholder */
  #participating (byDefault) {
    return `u."videosHistoryEnabled" AND NOT u.blocked
      AND COALESCE((SELECT s.training FROM ${TABLES.choice} s WHERE s."userId" = u.id), ${byDefault}::boolean)`
  }

  /**
   * Likes and dislikes of participants, by id. Rates of remote accounts on local videos are in the same table.
   *
   * @param {{ after: number, upto: number, limit: number, byDefault: boolean }} page
   * @returns {Promise<Engagement[]>}
   */
  rates ({ after, upto, limit, byDefault }) {
    return this.#decided(`
      SELECT r.id, u.id AS "userId", v.url, r.type::text AS type, EXTRACT(EPOCH FROM r."updatedAt")::float8 AS at
      FROM "accountVideoRate" r
      JOIN account a ON a.id = r."accountId"
      JOIN "user" u ON u.id = a."userId"
      JOIN video v ON v.id = r."videoId"
      WHERE r.id > $1 AND r.id <= $2 AND ${this.#participating('$4')} AND ${this.public}
      ORDER BY r.id LIMIT $3`, [after, upto, limit, byDefault])
  }

  /**
   * How far participants got in what they watched, by id. PeerTube keeps the last position, not the time watched.
   *
   * @param {{ after: number, upto: number, limit: number, byDefault: boolean }} page
   * @returns {Promise<Engagement[]>}
   */
  history ({ after, upto, limit, byDefault }) {
    return this.#decided(`
      SELECT h.id, u.id AS "userId", v.url,
             CASE WHEN v.duration > 0 THEN LEAST(1, GREATEST(0, h."currentTime"::float8 / v.duration)) ELSE 0 END
               AS watched,
             EXTRACT(EPOCH FROM h."updatedAt")::float8 AS at
      FROM "userVideoHistory" h
      JOIN "user" u ON u.id = h."userId"
      JOIN video v ON v.id = h."videoId"
      WHERE h.id > $1 AND h.id <= $2 AND ${this.#participating('$4')} AND ${this.public}
      ORDER BY h.id LIMIT $3`, [after, upto, limit, byDefault])
  }

  /** @param {boolean} byDefault */
  async countParticipants (byDefault) {
    const [row] = await this.#decided(
      `SELECT count(*) AS n FROM "user" u WHERE ${this.#participating('$1')}`, [byDefault])
    return Number(row.n)
  }

  /**
   * Participants by user id, each with count, sum and sum of squares of the ids of their exported rows up to the marks.
   *
   * @param {{ after: number, limit: number, rates: number, history: number, byDefault: boolean }} page
   */
  participants ({ after, limit, rates, history, byDefault }) {
    return this.#decided(`
      WITH page AS (
        SELECT u.id FROM "user" u WHERE u.id > $1 AND ${this.#participating('$5')} ORDER BY u.id LIMIT $2
      ), exported AS (
        SELECT a."userId" AS "userId", 0 AS kind, r.id::bigint AS id
        FROM page JOIN account a ON a."userId" = page.id
        JOIN "accountVideoRate" r ON r."accountId" = a.id AND r.id <= $3
        JOIN video v ON v.id = r."videoId" WHERE ${this.public}
        UNION ALL
        SELECT h."userId", 1, h.id::bigint
        FROM page JOIN "userVideoHistory" h ON h."userId" = page.id AND h.id <= $4
        JOIN video v ON v.id = h."videoId" WHERE ${this.public}
      ), states AS (
        SELECT "userId",
               string_agg(concat_ws(':', kind, n, ids, squares), ' ' ORDER BY kind) AS content
        FROM (SELECT "userId", kind, count(*) AS n, sum(id) AS ids, sum(id * id) AS squares
              FROM exported GROUP BY "userId", kind) per_kind
        GROUP BY "userId"
      )
      SELECT page.id AS "userId", COALESCE(states.content, '') AS content
      FROM page LEFT JOIN states ON states."userId" = page.id
      ORDER BY page.id`, [after, limit, rates, history, byDefault])
  }

  // ----------------------------------------------------------------- related

  /**
   * What the related list has to know of the current video, undefined unless it is public.
   *
   * @param {string} uuid
   * @returns {Promise<{ id: number, url: string, channelId: number, accountId: number, scope: number | null } | undefined>}
   */
  async publicVideo (uuid) {
    const [row] = await this.#rows(`
      SELECT v.id, v.url, v."channelId", c."accountId",
             ${this.#scope('NULL::integer')} AS scope
      FROM video v JOIN "videoChannel" c ON c.id = v."channelId"
      WHERE v.uuid = $1::uuid AND ${this.public}`, [uuid])
    return row
  }

  /** Those of some videos that are public now. @param {string[]} uuids */
  publicVideos (uuids) {
    return this.#rows(
      `SELECT v.uuid, v.name, v.url FROM video v WHERE v.uuid = ANY ($1::uuid[]) AND ${this.public}`, [uuids])
  }

  // ----------------------------------------------------------------- viewers

  /**
   * What a viewer chose; null: nothing.
   *
   * @param {number} userId
   * @returns {Promise<{ history: boolean, training: boolean | null, personal: boolean | null, since: number | null,
   *                     discovery: import('./consent.js').Discovery | null } | undefined>} `since`: when they chose last
   */
  async choices (userId) {
    const [row] = await this.#decided(`
      SELECT u."videosHistoryEnabled" AND NOT u.blocked AS history, s.training, s.personal, d.discovery,
             EXTRACT(EPOCH FROM s."updatedAt")::float8 AS since
      FROM "user" u
      LEFT JOIN ${TABLES.choice} s ON s."userId" = u.id
      LEFT JOIN ${TABLES.discovery} d ON d."userId" = u.id
      WHERE u.id = $1`, [userId])
    return row
  }

  /** Whether a viewer dismissed the invitation within a year before this day. @param {number} userId @param {string} today */
  async dismissedInvitation (userId, today) {
    const rows = await this.#decided(`
      SELECT 1 FROM ${TABLES.invitation}
      WHERE "userId" = $1 AND "dismissedOn" > $2::date - interval '1 year'`, [userId, today])
    return rows.length > 0
  }

  /** Ids a viewer hid. @param {number} userId @returns {Promise<{ videoId: number | null, channelId: number | null }[]>} */
  hiddenIds (userId) {
    return this.#decided(`SELECT "videoId", "channelId" FROM ${TABLES.hidden} WHERE "userId" = $1`, [userId])
  }

  /** What a viewer hid; the name of a video that is not public any more stays out. @param {number} userId */
  hiddenVideos (userId) {
    return this.#decided(`
      SELECT h.id, v.uuid, v.url, CASE WHEN ${this.public} THEN v.name END AS name,
             EXTRACT(EPOCH FROM h."createdAt")::float8 AS at
      FROM ${TABLES.hidden} h JOIN video v ON v.id = h."videoId"
      WHERE h."userId" = $1 ORDER BY h.id DESC`, [userId])
  }

  /** @param {number} userId */
  hiddenChannels (userId) {
    return this.#decided(`
      SELECT h.id, c.name, ca.url, EXTRACT(EPOCH FROM h."createdAt")::float8 AS at
      FROM ${TABLES.hidden} h
      JOIN "videoChannel" c ON c.id = h."channelId"
      JOIN actor ca ON ${this.channelActor}
      WHERE h."userId" = $1 ORDER BY h.id DESC`, [userId])
  }

  /** The id of a public video, by uuid or url. @param {string | null} uuid @param {string} url */
  async videoId (uuid, url) {
    const [row] = await this.#rows(
      `SELECT v.id FROM video v WHERE (v.uuid = $1::uuid OR v.url = $2) AND ${this.public}`, [uuid, url])
    return row?.id
  }

  /** @param {string} url */
  async channelId (url) {
    const [row] = await this.#rows(
      `SELECT c.id FROM "videoChannel" c JOIN actor ca ON ${this.channelActor} WHERE ca.url = $1`, [url])
    return row?.id
  }

  /** A user's own channels, and whether they took them out of suggestions. @param {number} userId */
  ownChannels (userId) {
    return this.#decided(`
      SELECT c.id, c.name, ca.url, EXISTS (SELECT 1 FROM ${TABLES.channel} x WHERE x."channelId" = c.id) AS excluded
      FROM account a
      JOIN "videoChannel" c ON c."accountId" = a.id
      JOIN actor ca ON ${this.channelActor}
      WHERE a."userId" = $1 ORDER BY c.id`, [userId])
  }

  // ----------------------------------------------------------------- effects

  /** Daily totals of some days up to today, oldest first. @param {string} today as YYYY-MM-DD @param {number} count */
  effects (today, count) {
    return this.#rows(`
      SELECT day::text AS day, ${EFFECTS.map(name => `"${name}"`).join(', ')} FROM ${TABLES.effect}
      WHERE day > $1::date - $2::integer ORDER BY day`, [today, count])
  }

  // -------------------------------------------------------------- exclusions

  /** The admin's. @returns {Promise<{ kind: 'channel' | 'host' | 'video', value: string }[]>} */
  adminExclusions () {
    return this.#decided(`SELECT kind, value FROM ${TABLES.exclusion} ORDER BY kind, value`)
  }

  /** Channels that the admin or their owner took out. @returns {Promise<{ id: number, url: string }[]>} */
  excludedChannels () {
    // Both halves begin with the few rows of the plugin: this runs with every list.
    return this.#decided(`
      SELECT c.id, ca.url FROM ${TABLES.channel} x
      JOIN "videoChannel" c ON c.id = x."channelId" JOIN actor ca ON ${this.channelActor}
      UNION
      SELECT c.id, ca.url FROM ${TABLES.exclusion} x
      JOIN actor ca ON ca.url = x.value JOIN "videoChannel" c ON ${this.channelActor}
      WHERE x.kind = 'channel'
      ORDER BY id`)
  }
}

module.exports = { EFFECTS, Queries, TABLES }
