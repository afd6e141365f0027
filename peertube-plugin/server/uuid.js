'use strict'

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
const ALPHABET = '123456789abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ'
const SHORT = /^[1-9a-km-zA-HJ-NP-Z]{20,22}$/
const LIMIT = 1n << 128n

/**
 * @param {unknown} text
 * @returns {text is string}
 */
function isUuid (text) {
  return typeof text === 'string' && UUID.test(text)
}

/**
 * A uuid from its plain or its short form (base 58 in Flickr's alphabet), undefined when it is neither.
 *
 * @param {string} text
 */
function toUuid (text) {
  const lower = text.toLowerCase()
  if (UUID.test(lower)) return lower
  if (!SHORT.test(text)) return undefined
  let value = 0n
  for (const digit of text) value = value * 58n + BigInt(ALPHABET.indexOf(digit))
  if (value >= LIMIT) return undefined
  const hex = value.toString(16).padStart(32, '0')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}

const PAGE = /^\/(?:w|videos\/watch)\/([0-9A-Za-z-]{20,36})(?:;[^/]*)?\/?$/

/**
 * The video whose watch page sent a request, from its `Referer`; undefined for playlists and other pages.
 *
 * @param {unknown} referer
 * @param {string} webserver the instance's own address, the only one believed
 */
function videoOfPage (referer, webserver) {
  if (typeof referer !== 'string' || referer.length > 2000) return undefined
  try {
    const url = new URL(referer)
    if (url.origin !== new URL(webserver).origin) return undefined
    const found = PAGE.exec(url.pathname)
    return found ? toUuid(found[1]) : undefined
  } catch {
    return undefined
  }
}

module.exports = { isUuid, toUuid, videoOfPage }
