/** A clock that stands still until told to move. */
export class ManualClock {
  #now = 0
  #timers = new Map()
  #next = 1
  now = () => this.#now
  today = () => '2026-01-31'

  setTimeout = (callback, ms) => {
    const id = this.#next++
    this.#timers.set(id, { at: this.#now + ms, callback })
    return id
  }

  clearTimeout = id => { this.#timers.delete(id) }

  get waiting () {
    return this.#timers.size
  }

  /** How long until the next one falls due, in milliseconds. */
  get soonest () {
    return Math.min(...[...this.#timers.values()].map(({ at }) => at - this.#now))
  }

  /** Move on, calling what falls due in order. */
  advance (ms) {
    this.#now += ms
    for (const [id, { at, callback }] of [...this.#timers].sort(([, a], [, b]) => a.at - b.at)) {
      if (at <= this.#now && this.#timers.delete(id)) callback()
    }
  }
}
