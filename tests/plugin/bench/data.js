/** A large instance, made inside the database: the same every time. */
export const SIZE = { users: 5000, videos: 100_000, channels: 2000, tags: 3000, history: 200_000, rates: 50_000 }

/** @param {import('../host/database.js').Database} database @param {typeof SIZE} [size] */
export async function fill (database, size = SIZE) {
  const { users, videos, channels, tags, history, rates } = size
  // Multipliers that are coprime to the counts spread rows evenly without randomness.
  await database.rows(`
    INSERT INTO application DEFAULT VALUES;
    INSERT INTO account (name, "applicationId") VALUES ('peertube', 1);
    INSERT INTO actor (type, "preferredUsername", url, "accountId") VALUES ('Application', 'peertube', 'https://here/accounts/peertube', 1);
    INSERT INTO server (host) SELECT 's' || i || '.example' FROM generate_series(1, 50) i;
    INSERT INTO "user" (username) SELECT 'u' || i FROM generate_series(1, ${users}) i;
    INSERT INTO account (name, "userId") SELECT 'u' || i, i FROM generate_series(1, ${users}) i;
    INSERT INTO actor (type, "preferredUsername", url, "accountId")
      SELECT 'Person', a.name, 'https://here/accounts/' || a.name, a.id FROM account a WHERE a."userId" IS NOT NULL;
    INSERT INTO "videoChannel" (name, "accountId") SELECT 'c' || i, 1 + i FROM generate_series(1, ${channels}) i;
    INSERT INTO actor (type, "preferredUsername", url, "videoChannelId", "serverId")
      SELECT 'Group', c.name, 'https://here/video-channels/' || c.name, c.id,
             CASE WHEN c.id % 3 = 0 THEN 1 + c.id % 50 END FROM "videoChannel" c;
    INSERT INTO video (uuid, name, category, language, privacy, nsfw, duration, views, likes, remote, url, state,
                       "publishedAt", "channelId")
      SELECT md5(i::text)::uuid, 'video number ' || i, 1 + i % 15, (ARRAY['en','fr','de','es'])[1 + i % 4],
             CASE WHEN i % 50 = 0 THEN 2 + i % 4 ELSE 1 END, i % 40 = 0, 60 + i % 3000, i % 900, i % 70, i % 3 = 0,
             'https://here/videos/watch/' || md5(i::text)::uuid, 1,
             timestamptz '2024-01-01' + i * interval '7 minutes', 1 + (i::bigint * 7919 % ${channels})::integer
      FROM generate_series(1, ${videos}) i;
    INSERT INTO "videoBlacklist" ("videoId") SELECT i FROM generate_series(1, ${videos}, 101) i;
    INSERT INTO tag (name) SELECT 'tag ' || i FROM generate_series(1, ${tags}) i;
    INSERT INTO "videoTag" ("videoId", "tagId")
      SELECT DISTINCT v, 1 + (v::bigint * (k * 31 + 17) % ${tags})::integer
      FROM generate_series(1, ${videos}) v, generate_series(1, 4) k;
    INSERT INTO "userVideoHistory" ("userId", "videoId", "currentTime")
      SELECT 1 + i / ${Math.ceil(history / users)} % ${users}, 1 + (i::bigint * 48271 % ${videos})::integer, i % 2000
      FROM generate_series(0, ${history - 1}) i;
    INSERT INTO "accountVideoRate" (type, url, "videoId", "accountId")
      SELECT (CASE WHEN i % 9 = 0 THEN 'dislike' ELSE 'like' END)::"enum_accountVideoRate_type", 'https://here/rates/' || i,
             1 + (i::bigint * 69621 % ${videos})::integer, 2 + i % ${users}
      FROM generate_series(1, ${rates}) i`)
  // As on a server that has run for a while: rows settled, statistics there, nothing left to write.
  await database.rows('VACUUM ANALYZE')
  await database.rows('CHECKPOINT')
}
