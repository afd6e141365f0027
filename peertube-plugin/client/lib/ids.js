// PeerTube's short ids are the 128 bits of the uuid in Flickr's base 58.
const ALPHABET = '123456789abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ'
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i
const LIMIT = 1n << 128n

/**
 * The video that a link to a watch page leads to.
 *
 * @param {string} address of the link, absolute or a path
 * @returns {string | null} uuid in lower case, `null` if it is no such link
 */
export function videoOf (address) {
  const found = /\/(?:w|videos\/watch)\/([^/?#;]+)/.exec(address)
  return found ? uuidOf(/** @type {string} */ (found[1])) : null
}

/**
 * @param {string} id a uuid or PeerTube's short form of one
 * @returns {string | null} uuid in lower case, `null` if it is neither
 */
export function uuidOf (id) {
  if (UUID.test(id)) return id.toLowerCase()
  if (id.length < 16 || id.length > 22) return null

  let value = 0n
  for (const letter of id) {
    const digit = ALPHABET.indexOf(letter)
    if (digit < 0) return null
    value = value * 58n + BigInt(digit)
  }
  if (value >= LIMIT) return null

  const hex = value.toString(16).padStart(32, '0')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}

/**
 * A channel's address in the form people know it: `name@host`.
 *
 * @param {string} address of the channel, the same on every instance
 * @returns {string} its name and host, or the address itself if it has another form
 */
export function channelName (address) {
  const found = /^https?:\/\/([^/]+)\/(?:video-channels|c)\/([^/?#]+)/.exec(address)
  return found ? `${found[2]}@${found[1]}` : address
}
