import { listIn } from '../lib/api.js'
import { actionButton, problemLine } from '../lib/controls.js'
import { el } from '../lib/dom.js'
import { number } from '../lib/texts.js'
import { moment } from './numbers.js'
import { badge, block, code, figure, folded, nothing, plain } from './pieces.js'

const AT_ONCE = 25

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
 * @param {import('../ask.ts').Answer<'LedgerEntry'>} entry from the daemon
 */
function line ({ say, tell }, { seq, at, sentence, kind, subject, details, hash }) {
  const raw = JSON.stringify({ kind, subject, ...details }, null, 2)
  return el('li', { tabindex: '-1' },
    el('p', { class: 'shoal-entry' }, tell(sentence)),
    folded(`${number(seq)} · ${moment(at)}`,
      el('pre', { dir: 'ltr', tabindex: '0', 'aria-label': say('details') }, plain(raw, 20_000)),
      el('p', {}, 'SHA-256: ', code(hash, true))))
}
