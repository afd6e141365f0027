/** When the stories that tests tell play, and keys and hashes for them. */

export const NOW = Date.UTC(2026, 10, 20, 12) / 1000
export const DAY = 86400
const WORDS = ['harbor', 'lantern', 'maple', 'orbit', 'pencil', 'quiet', 'river', 'saddle', 'timber', 'umbrella', 'velvet',
  'window', 'yellow', 'zebra', 'anchor', 'basket']
export const sha = seed => Array.from({ length: 8 }, (_, i) => ((seed * 2654435761 + i * 40503) >>> 0).toString(16).padStart(8, '0')).join('')
export const words = seed => Array.from({ length: 8 }, (_, i) => WORDS[(seed * 5 + i * 3) % WORDS.length])
export const key = seed => `ed25519:${Buffer.from(sha(seed), 'hex').toString('base64')}`
/** What the daemon says: a code of its catalogue, with parameters. */
export const said = (code, params = {}) => ({ code, params })
