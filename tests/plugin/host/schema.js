/**
 * The tables and columns of PeerTube that the plugin reads, with PeerTube's own indexes on them.
 *
 * @param {7 | 8 | 9} major PeerTube's major version: 8.0 moved the link between actors and accounts or channels.
 */
export function schema (major) {
  const [onOwner, onActor] = major === 7
    ? ['"actorId" integer REFERENCES actor (id) ON DELETE CASCADE,', '']
    : ['', `,
      "accountId" integer REFERENCES account (id) ON DELETE CASCADE,
      "videoChannelId" integer REFERENCES "videoChannel" (id) ON DELETE CASCADE`]

  const actor = `
    CREATE TABLE actor (
      id serial PRIMARY KEY,
      type varchar(255) NOT NULL,
      "preferredUsername" varchar(255) NOT NULL,
      url varchar(2000) NOT NULL UNIQUE,
      "publicKey" varchar(5000),
      "privateKey" varchar(5000),
      "serverId" integer REFERENCES server (id) ON DELETE CASCADE${onActor}
    );`
  const owners = `
    CREATE TABLE account (
      id serial PRIMARY KEY,
      name varchar(255) NOT NULL,
      ${onOwner}
      "userId" integer REFERENCES "user" (id) ON DELETE CASCADE,
      "applicationId" integer REFERENCES application (id) ON DELETE CASCADE
    );
    CREATE INDEX account_user ON account ("userId");
    CREATE TABLE "videoChannel" (
      id serial PRIMARY KEY,
      name varchar(255) NOT NULL,
      ${onOwner}
      "accountId" integer NOT NULL REFERENCES account (id) ON DELETE CASCADE
    );
    CREATE INDEX video_channel_account ON "videoChannel" ("accountId");`

  return `
    CREATE TYPE "enum_accountVideoRate_type" AS ENUM ('like', 'dislike');
    CREATE TYPE "enum_actorFollow_state" AS ENUM ('pending', 'accepted', 'rejected');
    CREATE TABLE server (id serial PRIMARY KEY, host varchar(255) NOT NULL UNIQUE);
    CREATE TABLE application (id serial PRIMARY KEY);
    CREATE TABLE plugin (
      id serial PRIMARY KEY, name varchar(255) NOT NULL, type integer NOT NULL, settings jsonb, storage jsonb, UNIQUE (name, type)
    );
    CREATE TABLE "user" (
      id serial PRIMARY KEY,
      username varchar(255) NOT NULL UNIQUE,
      "videosHistoryEnabled" boolean NOT NULL DEFAULT true,
      "nsfwPolicy" varchar(255) NOT NULL DEFAULT 'display',
      "videoLanguages" varchar(255)[],
      blocked boolean NOT NULL DEFAULT false,
      role integer NOT NULL DEFAULT 2
    );
    ${major === 7 ? actor + owners : owners + actor}
    ${major === 7
      ? `CREATE INDEX account_actor ON account ("actorId");
         CREATE INDEX channel_actor ON "videoChannel" ("actorId");`
      : `CREATE INDEX actor_account ON actor ("accountId");
         CREATE INDEX actor_channel ON actor ("videoChannelId");`}
    CREATE TABLE video (
      id serial PRIMARY KEY,
      uuid uuid NOT NULL UNIQUE,
      name varchar(255) NOT NULL,
      category integer,
      licence integer,
      language varchar(255),
      privacy integer NOT NULL,
      nsfw boolean NOT NULL,
      duration integer NOT NULL,
      views integer NOT NULL DEFAULT 0,
      likes integer NOT NULL DEFAULT 0,
      dislikes integer NOT NULL DEFAULT 0,
      remote boolean NOT NULL,
      "isLive" boolean NOT NULL DEFAULT false,
      url varchar(2000) NOT NULL UNIQUE,
      state integer NOT NULL DEFAULT 1,
      "waitTranscoding" boolean NOT NULL DEFAULT true,
      "publishedAt" timestamptz NOT NULL DEFAULT now(),
      "createdAt" timestamptz NOT NULL DEFAULT now(),
      "channelId" integer NOT NULL REFERENCES "videoChannel" (id) ON DELETE CASCADE
    );
    CREATE INDEX video_published ON video ("publishedAt" DESC, id ASC);
    CREATE INDEX video_channel ON video ("channelId");
    CREATE TABLE "videoStreamingPlaylist" (
      id serial PRIMARY KEY,
      "createdAt" timestamptz NOT NULL DEFAULT now(),
      "videoId" integer NOT NULL REFERENCES video (id) ON DELETE CASCADE
    );
    CREATE INDEX streaming_playlist_video ON "videoStreamingPlaylist" ("videoId");
    CREATE TABLE "videoFile" (
      id serial PRIMARY KEY,
      "createdAt" timestamptz NOT NULL DEFAULT now(),
      "videoId" integer REFERENCES video (id) ON DELETE CASCADE,
      "videoStreamingPlaylistId" integer REFERENCES "videoStreamingPlaylist" (id) ON DELETE CASCADE
    );
    CREATE INDEX file_video ON "videoFile" ("videoId") WHERE "videoId" IS NOT NULL;
    CREATE TABLE tag (id serial PRIMARY KEY, name varchar(255) NOT NULL UNIQUE);
    CREATE INDEX tag_lower_name ON tag (lower(name));
    CREATE TABLE "videoTag" (
      "videoId" integer NOT NULL REFERENCES video (id) ON DELETE CASCADE,
      "tagId" integer NOT NULL REFERENCES tag (id) ON DELETE CASCADE,
      PRIMARY KEY ("videoId", "tagId")
    );
    CREATE INDEX video_tag_video ON "videoTag" ("videoId");
    CREATE INDEX video_tag_tag ON "videoTag" ("tagId");
    CREATE TABLE "videoBlacklist" (
      id serial PRIMARY KEY,
      reason varchar(300),
      unfederated boolean NOT NULL DEFAULT false,
      type integer NOT NULL DEFAULT 1,
      "videoId" integer NOT NULL UNIQUE REFERENCES video (id) ON DELETE CASCADE
    );
    CREATE TABLE "accountVideoRate" (
      id serial PRIMARY KEY,
      type "enum_accountVideoRate_type" NOT NULL,
      url varchar(2000) NOT NULL UNIQUE,
      "createdAt" timestamptz NOT NULL DEFAULT now(),
      "updatedAt" timestamptz NOT NULL DEFAULT now(),
      "videoId" integer NOT NULL REFERENCES video (id) ON DELETE CASCADE,
      "accountId" integer NOT NULL REFERENCES account (id) ON DELETE CASCADE,
      UNIQUE ("videoId", "accountId")
    );
    CREATE INDEX rate_account ON "accountVideoRate" ("accountId");
    CREATE TABLE "userVideoHistory" (
      id serial PRIMARY KEY,
      "currentTime" integer NOT NULL,
      "createdAt" timestamptz NOT NULL DEFAULT now(),
      "updatedAt" timestamptz NOT NULL DEFAULT now(),
      "videoId" integer NOT NULL REFERENCES video (id) ON DELETE CASCADE,
      "userId" integer NOT NULL REFERENCES "user" (id) ON DELETE CASCADE,
      UNIQUE ("userId", "videoId")
    );
    CREATE INDEX history_user ON "userVideoHistory" ("userId");
    CREATE INDEX history_video ON "userVideoHistory" ("videoId");
    CREATE TABLE "accountBlocklist" (
      id serial PRIMARY KEY,
      "accountId" integer NOT NULL REFERENCES account (id) ON DELETE CASCADE,
      "targetAccountId" integer NOT NULL REFERENCES account (id) ON DELETE CASCADE,
      UNIQUE ("accountId", "targetAccountId")
    );
    CREATE TABLE "serverBlocklist" (
      id serial PRIMARY KEY,
      "accountId" integer NOT NULL REFERENCES account (id) ON DELETE CASCADE,
      "targetServerId" integer NOT NULL REFERENCES server (id) ON DELETE CASCADE,
      UNIQUE ("accountId", "targetServerId")
    );
    CREATE TABLE "actorFollow" (
      id serial PRIMARY KEY,
      state "enum_actorFollow_state" NOT NULL,
      "actorId" integer NOT NULL REFERENCES actor (id) ON DELETE CASCADE,
      "targetActorId" integer NOT NULL REFERENCES actor (id) ON DELETE CASCADE,
      UNIQUE ("actorId", "targetActorId")
    );
    CREATE TABLE "videoShare" (
      id serial PRIMARY KEY,
      "actorId" integer NOT NULL REFERENCES actor (id) ON DELETE CASCADE,
      "videoId" integer NOT NULL REFERENCES video (id) ON DELETE CASCADE
    );
    CREATE INDEX video_share_video ON "videoShare" ("videoId");`
}
