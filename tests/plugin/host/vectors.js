/** Files of video vectors: the made-up ones that the Python side makes as well, and small ones with a story. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'

const RANK = 64

/** What both sides must rank: `count`, `seed`, `levels`, `sha256` of the file, `history`, `listed`. */
export const CASES = JSON.parse(readFileSync(new URL('../ranking.json', import.meta.url), 'utf8'))

/** The file of `tests/models/made_vectors.py`, byte for byte. */
export function madeVectors ({ count, seed = 0, levels = 127 }) {
  const raw = createHash('shake256', { outputLength: Math.max(1, count) * (16 + 4 + RANK) }).update(`vectors ${seed}`).digest()
  const uuids = Array.from({ length: count }, (_, row) => raw.subarray(16 * row, 16 * row + 16)).sort(Buffer.compare)
  const weights = start => Array.from({ length: count }, (_, row) => {
    const value = raw.readUInt16LE(start + 2 * row)
    return levels === 1 ? 1 + value % 2 : (1 + value) / 4096
  })
  const matrix = Int8Array.from(raw.subarray(20 * count, (20 + RANK) * count), byte => (
    levels === 1 ? byte % 3 - 1 : Math.max(-127, byte << 24 >> 24)))
  return fileOf(uuids, weights(16 * count), weights(18 * count), matrix)
}

/**
 * Vectors of named videos by what they are about: those that share a topic are near each other.
 *
 * @param {Record<string, number[]>} topics by uuid, up to 64 numbers from -127 to 127
 */
export function vectorsAbout (topics) {
  const names = Object.keys(topics).sort()
  const ones = names.map(() => 1)
  const rows = names.flatMap(name => [...topics[name], ...new Array(RANK).fill(0)].slice(0, RANK))
  return fileOf(names.map(name => Buffer.from(name.replaceAll('-', ''), 'hex')), ones, ones, Int8Array.from(rows))
}

function fileOf (uuids, historyWeights, rankedWeights, matrix) {
  const weights = [historyWeights, rankedWeights].map(values => Buffer.from(Float32Array.from(values).buffer))
  const body = Buffer.concat([...uuids, ...weights, Buffer.from(matrix.buffer)])
  const header = Buffer.alloc(16)
  header.write('SHLV')
  header.writeUInt16LE(1, 4)
  header.writeUInt16LE(RANK, 6)
  header.writeUInt32LE(uuids.length, 8)
  header.writeUInt32LE(1_750_000_000, 12)
  return Buffer.concat([header, createHash('sha256').update(body).digest(), body])
}

/** The file with other bytes at an offset. */
export function patched (file, offset, bytes) {
  const changed = Buffer.from(file)
  Buffer.from(bytes).copy(changed, offset)
  return changed
}

/** As the browser gets it. */
export function arrayBuffer (file) {
  return new Uint8Array(file).buffer
}
