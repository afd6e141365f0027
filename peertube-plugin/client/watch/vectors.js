/**
 * Ranks videos by vectors, from a file that `models/vector_file.py` of the daemon describes and writes. Sums are in
 * double precision, from left to right, as they are there: both make the same list, to the last bit.
 */

const MAGIC = 0x564c4853 // "SHLV"
const VERSION = 1
const RANK = 64
const HEADER = 48
const MOST_VIDEOS = 5000
export const MOST_HISTORY = 200

/**
 * @typedef {object} Vectors
 * @property {number} count number of videos
 * @property {Uint8Array} uuids 16 bytes per video, strictly ascending
 * @property {Float32Array} historyWeights weight of each video in a history
 * @property {Float32Array} rankedWeights weight of each video that is ranked
 * @property {Int8Array} matrix one row of 64 per video
 *
 * @typedef {{ row: number, score: number, via: number }} Ranked `via`: the row of the history that speaks most for it
 */

/**
 * Check and open a file.
 *
 * @param {ArrayBuffer} content of the file
 * @returns {Vectors | null} `null` for what is no such file, or a broken one
 */
export function parseVectors (content) {
  if (content.byteLength < HEADER) return null
  const header = new DataView(content)
  const count = header.getUint32(8, true)
  if (header.getUint32(0, true) !== MAGIC || header.getUint16(4, true) !== VERSION) return null
  if (header.getUint16(6, true) !== RANK || count > MOST_VIDEOS) return null
  if (content.byteLength !== HEADER + count * (16 + 4 + 4 + RANK)) return null

  // Views, not copies: every platform that browsers run on is little-endian, as the file is.
  const weights = HEADER + 16 * count
  const vectors = {
    count,
    uuids: new Uint8Array(content, HEADER, 16 * count),
    historyWeights: new Float32Array(content, weights, count),
    rankedWeights: new Float32Array(content, weights + 4 * count, count),
    matrix: new Int8Array(content, weights + 8 * count, RANK * count)
  }
  return isSound(vectors) ? vectors : null
}

/**
 * Uuid of a row.
 *
 * @param {Vectors} vectors the file
 * @param {number} row its place in it
 * @returns {string} in lower case
 */
export function uuidAt (vectors, row) {
  const hex = Array.from(vectors.uuids.subarray(16 * row, 16 * row + 16), byte => byte.toString(16).padStart(2, '0')).join('')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}

/**
 * Row of a uuid.
 *
 * @param {Vectors} vectors the file
 * @param {string} uuid in lower case
 * @returns {number} its place, -1 where it has none
 */
export function rowOf (vectors, uuid) {
  let low = 0
  let high = vectors.count
  while (low < high) {
    const middle = (low + high) >> 1
    if (uuidAt(vectors, middle) < uuid) low = middle + 1
    else high = middle
  }
  return low < vectors.count && uuidAt(vectors, low) === uuid ? low : -1
}

/**
 * The best videos for a history; none of the history, and none that nothing speaks for.
 *
 * @param {Vectors} vectors the file
 * @param {number[]} history rows, of which the first 200 count
 * @param {number} limit how many at most
 * @returns {Ranked[]} best first; equal scores: lower row first
 */
export function rank (vectors, history, limit) {
  const rows = [...new Set(history.slice(0, MOST_HISTORY))]
  const scores = scoresOf(vectors, rows)
  for (const row of rows) scores[row] = 0

  /** @type {number[]} */
  const candidates = []
  for (let row = 0; row < vectors.count; row++) if (scores[row] > 0) candidates.push(row)
  return candidates
    .sort((a, b) => scores[b] - scores[a] || a - b)
    .slice(0, limit)
    .map(row => ({ row, score: scores[row], via: weightiest(vectors, rows, row) }))
}

/**
 * @param {Vectors} vectors the file
 * @param {number[]} rows of the history, each once
 */
function scoresOf ({ count, historyWeights, rankedWeights, matrix }, rows) {
  const profile = new Float64Array(RANK)
  for (const row of rows) {
    const weight = historyWeights[row]
    const start = RANK * row
    for (let k = 0; k < RANK; k++) profile[k] += weight * matrix[start + k]
  }
  const scores = new Float64Array(count)
  for (let row = 0; row < count; row++) {
    let sum = 0
    for (let k = 0, place = RANK * row; k < RANK; k++, place++) sum += profile[k] * matrix[place]
    scores[row] = sum * rankedWeights[row]
  }
  return scores
}

/**
 * Row of the history with the largest part in a score; equal parts: the earlier one.
 *
 * @param {Vectors} vectors the file
 * @param {number[]} rows of the history
 * @param {number} ranked row that was ranked
 */
function weightiest ({ historyWeights, matrix }, rows, ranked) {
  let best = -1
  let most = -Infinity
  for (const row of rows) {
    let product = 0
    for (let k = 0; k < RANK; k++) product += matrix[RANK * row + k] * matrix[RANK * ranked + k]
    const part = historyWeights[row] * product
    if (part > most) {
      most = part
      best = row
    }
  }
  return best
}

/** @param {Vectors} vectors of a file whose size is right */
function isSound ({ count, uuids, historyWeights, rankedWeights, matrix }) {
  const isWeight = (/** @type {number} */ weight) => weight > 0 && weight < Infinity
  if (!historyWeights.every(isWeight) || !rankedWeights.every(isWeight) || matrix.includes(-128)) return false
  for (let row = 1; row < count; row++) {
    let place = 16 * row
    const end = place + 16
    while (place < end && uuids[place] === uuids[place - 16]) place++
    if (place === end || uuids[place] < uuids[place - 16]) return false
  }
  return true
}
