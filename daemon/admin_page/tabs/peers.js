import { listIn } from '../lib/api.js'
import { actionButton, problemLine } from '../lib/controls.js'
import { el, uniqueId } from '../lib/dom.js'
import { isolated, number } from '../lib/texts.js'
import { circle } from './circle.js'
import { introducing } from './introduce.js'
import { peerEntry } from './peer.js'
import { block, facts, figure, nothing } from './pieces.js'

/** @typedef {import('./peer.js').Peer} Peer */

/** Groups of peers, from what waits to what is over. */
const GROUPS = /** @type {const} */ ([
  { title: 'requests', holds: (/** @type {Peer} */ peer) => peer.state === 'candidate' && asks(peer) },
  { title: 'yourPeers', holds: (/** @type {Peer} */ peer) => ['approved', 'paused'].includes(peer.state) },
  { title: 'candidates', holds: (/** @type {Peer} */ peer) => peer.state === 'candidate' && !asks(peer) },
  { title: 'formerPeers', holds: (/** @type {Peer} */ peer) => ['removed', 'reverted'].includes(peer.state) }
])

/**
 * With whom this instance learns.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @returns {import('./tab-list.js').Part} the part
 */
export function peers (admin) {
  const { page, say, sayProblem, ask } = admin
  /** @type {Map<string, HTMLElement>} */
  let lines = new Map()
  const follows = el('p', { class: 'muted-2' })
  /** What a request brought, shown instead of asking again. @type {any} */
  let fresh = null

  const introduced = circle(admin, async () => { await Promise.all([reload(), offers.refresh()]) })
  const offers = introducing(admin)

  const { box, reload } = page.loaded(
    async () => {
      const found = fresh ?? await ask('GET', 'peers')
      fresh = null
      /** @type {Peer[]} */
      const all = listIn(found, 'peers')
      return { all, cohort: found.cohort, followed: found.followed }
    },
    ({ all, cohort, followed }) => {
      follows.textContent = figure(followed?.total) === null
        ? ''
        : say('followedCount', { total: number(followed.total), asked: number(followed.looked_at), shoal: number(followed.with_shoal) })
      lines = new Map(all.map(peer => [peer.host, peerEntry(admin, peer, changed)]))
      const line = (/** @type {Peer} */ { host }) => /** @type {HTMLElement} */ (lines.get(host))
      return [
        block(say('cohort'), el('p', {}, admin.tell(...cohort.sentences)), facts([
          [say('cohortApproved'), number(cohort?.approved ?? 0)],
          [say('cohortMutual'), number(cohort?.mutual ?? 0)],
          cohort?.on_word_alone ? [say('cohortStrangers'), number(cohort.on_word_alone)] : null,
          [say('cohortNeeded'), number(cohort?.needed ?? 0)]
        ])),
        ...GROUPS.map(({ title, holds }) => {
          const group = all.filter(holds)
          if (group.length === 0 && title !== 'yourPeers') return null
          return block(say(title), group.length && title === 'yourPeers' ? el('p', {}, say('togetherText')) : null, group.length
            ? el('ul', { class: 'shoal-list shoal-cards' }, ...group.map(line))
            : nothing(say('noPeers')))
        })
      ]
    })

  /** Show what holds after a change, with the keyboard at the peer it was about. */
  const changed = async (/** @type {string} */ host, /** @type {string} */ news) => {
    await refresh()
    const line = lines.get(host)
    if (line && !line.contains(document.activeElement)) line.focus()
    page.announce(news)
  }

  return {
    content: [introduced.content, box, offers.content, adding(admin, changed), finding()],
    refresh,
    about: async host => {
      await refresh()
      const line = lines.get(host)
      // Whoever is only introduced has no entry among the peers.
      if (line) line.focus()
      else introduced.focus()
    }
  }

  async function refresh () {
    await Promise.all([reload(), introduced.refresh(), offers.refresh()])
  }

  function finding () {
    const problem = problemLine()
    const outcome = el('p', { role: 'status' })
    const button = actionButton({
      text: say('findCandidates'),
      problem,
      sayProblem,
      run: async () => {
        outcome.textContent = say('looking')
        try {
          fresh = await ask('POST', 'peers/candidates', {}, 90_000)
        } catch (error) {
          outcome.textContent = ''
          throw error
        }
        const known = new Set(lines.keys())
        await reload()
        const found = [...lines.keys()].filter(host => !known.has(host)).length
        outcome.textContent = found ? say.counted('foundOne', 'foundOther', found) : say('foundNothing')
      }
    })
    return block(say('find'), el('p', {}, say('findText')), follows, button, problem, outcome)
  }
}

/**
 * @param {import('./admin.js').Admin} admin the page
 * @param {(host: string, news: string) => Promise<void>} changed called with the new peer
 */
function adding ({ say, sayProblem, ask }, changed) {
  const id = uniqueId('host')
  const problem = problemLine()
  const input = el('input', {
    id, class: 'form-control', type: 'text', dir: 'ltr', spellcheck: 'false', autocapitalize: 'none', autocomplete: 'off',
    'aria-describedby': `${id}-text`
  })
  const add = actionButton({
    text: say('add'),
    look: 'primary',
    problem,
    sayProblem,
    run: async () => {
      const { host } = await ask('POST', 'peers', { host: input.value.trim() }, 90_000)
      input.value = ''
      await changed(host, say('added', { host: isolated(host) }))
    }
  })
  const form = el('form', {
    class: 'shoal-line-form',
    submit: event => {
      event.preventDefault()
      add.click()
    }
  }, input, add)
  return block(say('addPeer'), el('div', { class: 'form-group' },
    el('label', { for: id }, say('host')),
    el('div', { id: `${id}-text`, class: 'form-group-description' }, say('addText')),
    form, problem))
}

/** @param {Peer} peer that may want to learn together */
function asks ({ theirs }) {
  return theirs === 'asked' || theirs === 'approved'
}
