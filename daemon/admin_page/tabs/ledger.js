import { listIn } from '../lib/api.js'
import { actionButton, problemLine } from '../lib/controls.js'
import { el } from '../lib/dom.js'
import { isolated, number } from '../lib/texts.js'
import { moment } from './numbers.js'
import { badge, block, code, figure, folded, nothing, own, plain } from './pieces.js'

const AT_ONCE = 25
/** Kinds of entries that this version knows; others go by the daemon's word. */
const KINDS = /** @type {const} */ ([
  'opened', 'round', 'refused', 'sum', 'model', 'acceptance', 'served', 'peer-added', 'peer-asked', 'peer-approved',
  'peer-vouched-for', 'peers-introduced', 'peer-paused', 'peer-removed', 'peer-reverted', 'key-rotated', 'key-changed', 'revert', 'withdrawal', 'stopped', 'group', 'passed-on', 'database-lost'
])
/** What happened to a group, or in it. */
const EVENTS = /** @type {const} */ ([
  'hosted', 'asked', 'approved', 'refused', 'ejected', 'joined', 'left', 'closed', 'epoch', 'published'
])

/**
 * What happened, entry by entry, newest first, and whether the chain of entries is whole.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @returns {import('./tab-list.js').Part} the part
 */
export function ledger (admin) {
  const { page, say, sayProblem, ask } = admin
  const problem = problemLine()
  const list = el('ul', { class: 'shoal-list' })
  /** Entries up to this one are not shown yet. */
  let upto = 0

  /** Entries in the daemon's order end at `upto`. */
  const older = async () => {
    const after = Math.max(0, upto - AT_ONCE)
    const found = listIn(await ask('GET', `ledger?after=${after}&limit=${upto - after}`), 'entries')
    upto = after
    return found.toReversed()
  }

  const { box, reload } = page.loaded(
    async () => {
      const state = await ask('GET', 'ledger?limit=1')
      upto = figure(state.newest) ?? 0
      const count = upto
      // Where the chain breaks, what comes after the last entry in order is what one wants to see.
      const beyond = state.verified === true ? [] : listIn(await ask('GET', `ledger?after=${count}&limit=100`), 'entries')
      return { state, count, entries: [...beyond.toReversed(), ...upto ? await older() : []] }
    },
    ({ state, count, entries }) => {
      list.replaceChildren(...entries.map(entry => line(admin, entry)))
      more.hidden = upto === 0
      return [
        el('p', { role: 'status' },
          state.verified === true ? badge(say('verified'), 'green') : badge(say('notVerified'), 'red'), ' ',
          state.verified === true ? say.counted('verifiedOne', 'verifiedOther', count) : plain(state.problem)),
        entries.length ? list : nothing(say('noEntries'))
      ]
    })

  const more = actionButton({
    text: say('older'),
    problem,
    sayProblem,
    run: async () => {
      const lines = (await older()).map(entry => line(admin, entry))
      list.append(...lines)
      more.hidden = upto === 0
      lines[0]?.focus()
    }
  })
  more.hidden = true

  return { content: [block(say('ledger'), el('p', {}, say('ledgerText')), box, more, problem)], refresh: reload }
}

/**
 * @param {import('./admin.js').Admin} admin the page
 * @param {any} entry from the daemon
 */
function line ({ say }, entry) {
  const kind = KINDS.find(known => known === entry.kind)
  const details = JSON.stringify(entry.details ?? {}, null, 2)
  return el('li', { tabindex: '-1' },
    el('div', { class: 'shoal-peer-head' },
      el('span', { class: 'muted-2' }, `${number(figure(entry.seq) ?? 0)}.`),
      el('strong', {}, kind ? say(`kind_${kind}`) : plain(entry.kind, 60)),
      entry.subject ? subject(entry.subject) : null,
      kind === 'group' ? el('span', {}, eventText(say, entry.details ?? {})) : null,
      el('span', { class: 'muted-2' }, moment(figure(entry.at) ?? 0))),
    folded(say('details'), el('pre', { dir: 'ltr', tabindex: '0', 'aria-label': say('details') }, plain(details, 20_000)), el('p', {}, 'SHA-256: ', code(entry.hash, true))))
}

/**
 * @param {import('./admin.js').Admin['say']} say the page's sentences
 * @param {any} details of an entry about a group; its subject stands before
 */
function eventText (say, details) {
  const group = isolated(plain(details.group, 60))
  const event = EVENTS.find(known => known === details.event)
  if (!event) return `${plain(details.event, 60)} ${group}`
  if (event === 'approved' && details.invited === true) return say('event_invited', { group })
  if (event === 'left' && details.own === true) return say('event_ownLeft', { group })
  return say(`event_${event}`, { group })
}

/** @param {unknown} text a host, or the id of a round or model */
function subject (text) {
  return /^[0-9a-f]{32,}$/.test(plain(text)) ? code(text) : own(text)
}
