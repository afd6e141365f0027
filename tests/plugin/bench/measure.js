/** @param {number[]} values */
export function percentiles (values) {
  const sorted = [...values].sort((a, b) => a - b)
  const at = share => sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)]
  return { p50: at(0.5), p99: at(0.99), max: sorted.at(-1) }
}

/** @param {string} label @param {number[]} values milliseconds */
export function line (label, values) {
  const { p50, p99, max } = percentiles(values)
  const ms = value => `${value.toFixed(1)} ms`.padStart(10)
  return `${label.padEnd(52)}${ms(p50)}${ms(p99)}${ms(max)}`
}

export const HEADER = `${''.padEnd(52)}${['p50', 'p99', 'max'].map(name => name.padStart(10)).join('')}`

/** How long the event loop stood still, sampled by itself: a timer every millisecond, and by how much it came late. */
export function watchLoop () {
  const late = []
  let last = performance.now()
  const timer = setInterval(() => {
    const now = performance.now()
    late.push(Math.max(0, now - last - 1))
    last = now
  }, 1)
  return () => {
    clearInterval(timer)
    return late
  }
}
