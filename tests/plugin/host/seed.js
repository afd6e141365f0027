/** A small instance to test on: builders for rows, each returning the row with its id. */
import { randomUUID } from 'node:crypto'

export const PRIVACY = { public: 1, unlisted: 2, private: 3, internal: 4, password: 5 }
let counter = 0

export class Seed {
  constructor (host) {
    this.host = host
    this.database = host.database
    this.major = host.major
  }

  async insert (table, values) {
    const names = Object.keys(values)
    const columns = names.map(name => `"${name}"`).join(', ')
    const places = names.map((_, i) => `$${i + 1}`).join(', ')
    const sql = `INSERT INTO "${table}" (${columns}) VALUES (${places}) RETURNING *`
    const [row] = await this.database.rows(sql, Object.values(values))
    return row
  }

  /** The instance's own account, as PeerTube creates it at installation: the owner of instance-wide blocks. */
  async instance () {
    const application = await this.insert('application', { id: 1 })
    return this.owner('account', { name: 'peertube', applicationId: application.id }, this.host.actor)
  }

  /** An account or channel with its actor, linked the way this major version does. */
  async owner (table, values, { url = `${this.host.url}/${table}/${values.name}-${++counter}`, serverId = null } = {}) {
    const actor = { type: 'Person', preferredUsername: values.name, url, serverId }
    if (this.major === 7) {
      const { id } = await this.insert('actor', actor)
      return { ...await this.insert(table, { ...values, actorId: id }), actorId: id, url }
    }
    const row = await this.insert(table, values)
    const link = table === 'account' ? 'accountId' : 'videoChannelId'
    const { id } = await this.insert('actor', { ...actor, [link]: row.id })
    return { ...row, actorId: id, url }
  }

  /** A local user with account and channel. */
  async user (name = `user${++counter}`, values = {}) {
    const user = await this.insert('user', { username: name, ...values })
    const account = await this.owner('account', { name, userId: user.id })
    const channel = await this.owner('videoChannel', { name: `${name}_channel`, accountId: account.id })
    return { ...user, account, channel }
  }

  /** A remote account with channel, on a server that the instance follows. */
  async remote (host) {
    const server = await this.insert('server', { host })
    const where = { serverId: server.id }
    const account = await this.owner('account', { name: 'far' }, { ...where, url: `https://${host}/accounts/far` })
    const channel = await this.owner('videoChannel', { name: 'far_channel', accountId: account.id },
      { ...where, url: `https://${host}/video-channels/far_channel` })
    await this.insert('actorFollow', { state: 'accepted', actorId: 1, targetActorId: account.actorId })
    return { server, account, channel, host }
  }

  async video (channel, { tags = [], host, ...values } = {}) {
    const uuid = randomUUID()
    const base = host ? `https://${host}` : this.host.url
    const video = await this.insert('video', {
      uuid,
      name: `video ${++counter}`,
      privacy: PRIVACY.public,
      nsfw: false,
      duration: 100,
      remote: Boolean(host),
      url: `${base}/videos/watch/${uuid}`,
      channelId: channel.id,
      ...values
    })
    for (const name of tags) {
      const [tag] = await this.database.rows(
        'INSERT INTO tag (name) VALUES ($1) ON CONFLICT (name) DO UPDATE SET name = $1 RETURNING id', [name])
      await this.insert('videoTag', { videoId: video.id, tagId: tag.id })
    }
    return video
  }

  rate (account, video, type = 'like') {
    const url = `${account.url}/${type}s/${video.id}`
    return this.insert('accountVideoRate', { type, url, accountId: account.id, videoId: video.id })
  }

  watch (user, video, seconds = 60) {
    return this.insert('userVideoHistory', { userId: user.id, videoId: video.id, currentTime: seconds })
  }

  blacklist (video) {
    return this.insert('videoBlacklist', { videoId: video.id, reason: 'reported' })
  }
}
