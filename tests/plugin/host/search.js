/**
 * PeerTube's video search as far as it concerns the related list: the same visibility rules and the same shape of
 * query (identifiers first, newest first, then the rows), in own words.
 */

const SERVER_ACCOUNT = '(SELECT id FROM account WHERE "applicationId" IS NOT NULL LIMIT 1)'

/** @param {7 | 8} major */
export function searchSql (major, options) {
  const bind = []
  const value = v => `$${bind.push(v)}`
  const joins = [
    'JOIN "videoChannel" c ON c.id = v."channelId"',
    'JOIN account a ON a.id = c."accountId"',
    major === 7 ? 'JOIN actor aa ON aa.id = a."actorId"' : 'JOIN actor aa ON aa."accountId" = a.id',
    major === 7 ? 'JOIN actor ca ON ca.id = c."actorId"' : 'JOIN actor ca ON ca."videoChannelId" = c.id'
  ]
  const blockers = options.user ? [SERVER_ACCOUNT, value(options.user.Account.id)] : [SERVER_ACCOUNT]
  const and = [
    'NOT EXISTS (SELECT 1 FROM "videoBlacklist" b WHERE b."videoId" = v.id)',
    `NOT EXISTS (SELECT 1 FROM "accountBlocklist" b WHERE b."accountId" IN (${blockers.join(', ')})
                 AND b."targetAccountId" = a.id)`,
    `NOT EXISTS (SELECT 1 FROM "serverBlocklist" b WHERE b."accountId" IN (${blockers.join(', ')})
                 AND b."targetServerId" = aa."serverId")`,
    '(v.state = 1 OR (v.state = 2 AND v."waitTranscoding" IS FALSE))',
    options.user ? 'v.privacy IN (1, 4)' : 'v.privacy = 1'
  ]
  const follower = options.displayOnlyForFollower?.actorId
  if (follower) {
    and.push(`(v.remote IS FALSE
      OR EXISTS (SELECT 1 FROM "videoShare" s JOIN "actorFollow" f ON f."targetActorId" = s."actorId"
                 WHERE s."videoId" = v.id AND f."actorId" = ${value(follower)} AND f.state = 'accepted')
      OR EXISTS (SELECT 1 FROM "actorFollow" f WHERE f."targetActorId" IN (aa.id, ca.id)
                 AND f."actorId" = ${value(follower)} AND f.state = 'accepted'))`)
  }
  if (options.uuids) and.push(`v.uuid = ANY (${value(options.uuids)}::uuid[])`)
  if (options.tagsOneOf) {
    and.push(`EXISTS (SELECT 1 FROM "videoTag" vt JOIN tag t ON t.id = vt."tagId" WHERE vt."videoId" = v.id
              AND lower(t.name) = ANY (${value([options.tagsOneOf].flat().map(tag => tag.toLowerCase()))}::text[]))`)
  }
  if (options.nsfw === false) and.push('v.nsfw IS FALSE')
  if (options.excludeAlreadyWatched && options.user) {
    and.push(`NOT EXISTS (SELECT 1 FROM "userVideoHistory" h WHERE h."videoId" = v.id
              AND h."userId" = ${value(options.user.id)})`)
  }
  const sql = `
    WITH found AS (
      SELECT v.id FROM video v ${joins.join(' ')} WHERE ${and.join(' AND ')}
      ORDER BY v."publishedAt" DESC, v.id ASC LIMIT ${value(options.count)} OFFSET ${value(options.start ?? 0)}
    )
    SELECT v.*, c.name AS "channelName", c."accountId" AS "accountId", ca.url AS "channelUrl"
    FROM found JOIN video v ON v.id = found.id ${joins.join(' ')}
    ORDER BY v."publishedAt" DESC, v.id ASC`
  return { sql, bind }
}

/** What a search returns: like PeerTube's model, it formats itself, and a plain object in its place is an error. */
export class Video {
  constructor ({ channelName, channelUrl, accountId, ...columns }) {
    Object.assign(this, columns)
    this.VideoChannel = { id: this.channelId, name: channelName, accountId, Actor: { url: channelUrl } }
  }

  toFormattedJSON () {
    const { id, uuid, name, url, nsfw, language, views, likes, duration, privacy, VideoChannel: channel } = this
    return {
      id,
      uuid,
      shortUUID: uuid,
      name,
      url,
      nsfw,
      language,
      views,
      likes,
      duration,
      privacy: { id: privacy },
      thumbnailPath: `/lazy-static/thumbnails/${uuid}.jpg`,
      account: { id: channel.accountId },
      channel: {
        id: channel.id,
        name: channel.name,
        displayName: channel.name,
        url: channel.Actor.url,
        host: new URL(channel.Actor.url).host
      }
    }
  }
}
