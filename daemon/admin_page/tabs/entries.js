import { videoOf } from '../lib/ids.js'

const LABEL = '[\\p{L}\\p{N}](?:[\\p{L}\\p{N}-]{0,61}[\\p{L}\\p{N}])?'
const HOST = new RegExp(`^${LABEL}(?:\\.${LABEL})*(?::\\d{1,5})?$`, 'u')

/**
 * @param {string} text host name, or an address on it
 * @returns {string | null} host in lower case, with the port if it has one; `null` if it is none
 */
export function parseHost (text) {
  const address = parseAddress(text)
  if (address) return address.host
  return HOST.test(text) ? parseAddress(`https://${text}`)?.host ?? null : null
}

/**
 * @param {string} text address of a channel, or `name@host`
 * @returns {string | null} the channel's address as all instances know it, `null` if it is none
 */
export function parseChannel (text) {
  const handle = /^@?([^@/\s]+)@([^@/\s]+)$/.exec(text)
  if (handle) {
    const host = parseHost(/** @type {string} */ (handle[2]))
    return host && `${schemeOf(host)}://${host}/video-channels/${handle[1]}`
  }

  const address = parseAddress(text)
  const found = address && /^\/(?:c|video-channels)\/([^/@]+)(?:@([^/@]+))?(?:\/.*)?$/.exec(address.pathname)
  if (!address || !found) return null
  // A remote channel's page on this instance carries the channel's own host in its name.
  return found[2] ? parseChannel(`${found[1]}@${found[2]}`) : `${address.origin}/video-channels/${found[1]}`
}

/**
 * @param {string} text address of a video
 * @returns {string | null} the address that all instances know it by, `null` if it is none
 */
export function parseVideo (text) {
  const address = parseAddress(text)
  const uuid = address && videoOf(address.pathname)
  return uuid ? `${address.origin}/videos/watch/${uuid}` : null
}

/**
 * @param {string} text anything
 * @returns {URL | null} the address if it is an http or https one
 */
function parseAddress (text) {
  if (!/^https?:\/\//i.test(text)) return null
  try {
    return new URL(text)
  } catch {
    return null
  }
}

/**
 * @param {string} host of a channel
 * @returns {string} scheme of its address: this page's own for this instance, https elsewhere
 */
function schemeOf (host) {
  return host === location.host ? location.protocol.slice(0, -1) : 'https'
}
