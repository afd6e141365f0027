import { el, uniqueId } from '../lib/dom.js'

/**
 * @typedef {object} Tab
 * @property {string} id in the address, after the number sign
 * @property {string} title on the tab
 * @property {() => Part} make makes what it shows, when it is first opened
 *
 * @typedef {object} Part
 * @property {HTMLElement[]} content what the tab shows
 * @property {() => unknown} [refresh] called when the tab is opened again
 * @property {(subject: string) => unknown} [about] called when a link leads here for something
 *
 * @typedef {(id: string, subject?: string) => void} Go
 */

/**
 * Tabs after the ARIA pattern: arrow keys move between them, Enter opens one, only one is in the order of Tab. The open
 * one is in the address, so that a link can lead to it.
 *
 * @param {string} label what the tabs are parts of
 * @param {Tab[]} tabs from first to last
 * @returns {{ element: HTMLElement, go: Go, start: () => void }} the tabs, a function that opens one, and one that opens
 *   the one in the address
 */
export function tabList (label, tabs) {
  const entries = tabs.map(tab => {
    const id = uniqueId(`tab-${tab.id}`)
    const panel = el('div', {
      class: 'shoal-panel', role: 'tabpanel', id: `${id}-panel`, 'aria-labelledby': id, tabindex: '-1', hidden: true
    })
    const button = el('button', {
      type: 'button', class: 'shoal-tab', role: 'tab', id, 'aria-controls': panel.id, 'aria-selected': 'false', tabindex: '-1',
      click: () => { open(tab.id) },
      keydown: event => { move(/** @type {KeyboardEvent} */ (event)) }
    }, tab.title)
    return { tab, button, panel, part: /** @type {Part | null} */ (null) }
  })

  /** @type {Go} */
  const open = (id, subject) => {
    const entry = entries.find(({ tab }) => tab.id === id) ?? entries[0]
    if (!entry) return
    for (const { button, panel } of entries) {
      const chosen = button === entry.button
      button.setAttribute('aria-selected', String(chosen))
      button.setAttribute('tabindex', chosen ? '0' : '-1')
      panel.hidden = !chosen
    }
    // Where all of them do not fit beside each other, the open one is in sight.
    entry.button.scrollIntoView({ block: 'nearest', inline: 'nearest' })
    if (entry.part) {
      void entry.part.refresh?.()
    } else {
      entry.part = entry.tab.make()
      entry.panel.append(...entry.part.content)
    }
    if (subject !== undefined) void entry.part.about?.(subject)
    if (addressed() !== entry.tab.id) history.replaceState(history.state, '', `${location.pathname}${location.search}#${entry.tab.id}`)
  }

  const move = (/** @type {KeyboardEvent} */ event) => {
    const at = entries.findIndex(({ button }) => button === event.currentTarget)
    const forward = getComputedStyle(list).direction === 'rtl' ? 'ArrowLeft' : 'ArrowRight'
    const backward = forward === 'ArrowRight' ? 'ArrowLeft' : 'ArrowRight'
    const last = entries.length - 1
    const next = {
      [forward]: at === last ? 0 : at + 1, [backward]: at === 0 ? last : at - 1, Home: 0, End: last
    }[event.key]
    if (next === undefined || event.ctrlKey || event.altKey || event.metaKey) return
    event.preventDefault()
    entries[next]?.button.focus()
  }

  const addressed = () => location.hash.slice(1)
  const followed = () => {
    // PeerTube keeps the window when it shows another page: this one is over then.
    if (!element.isConnected) window.removeEventListener('hashchange', followed)
    else if (entries.some(({ tab, button }) => tab.id === addressed() && button.getAttribute('aria-selected') === 'false')) open(addressed())
  }
  window.addEventListener('hashchange', followed)

  const list = el('div', { class: 'shoal-tabs', role: 'tablist', 'aria-label': label }, ...entries.map(({ button }) => button))
  const element = el('div', {}, list, ...entries.map(({ panel }) => panel))
  return {
    element,
    go: (id, subject) => {
      open(id, subject)
      const entry = entries.find(({ tab }) => tab.id === id)
      // A link that was followed is hidden now; the keyboard goes on where it led.
      if (subject === undefined || !entry?.panel.contains(document.activeElement)) entry?.panel.focus()
      entry?.panel.scrollIntoView({ block: 'nearest' })
    },
    start: () => { open(addressed()) }
  }
}
