import { listIn } from '../lib/api.js'
import { actionButton, problemLine } from '../lib/controls.js'
import { el, uniqueId } from '../lib/dom.js'
import { isolated, number } from '../lib/texts.js'
import { circle } from './circle.js'
import { group } from './group.js'
import { introducing } from './introduce.js'
import { network } from './network.js'
import { peerTable } from './peer-table.js'
import { block, facts, figure, folded } from './pieces.js'
import { earlierReverts } from './revert.js'

/**
 * With whom this instance learns: peers, who introduces whom, groups, and what was taken out.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @returns {import('./tab-list.js').Part} the part
 */
export function peers (admin) {
  const { page, say, ask } = admin
  const follows = el('p', { class: 'muted-2' })
  /** What a request brought, shown instead of asking again. @type {any} */
  let fresh = null

  /** Show what holds after a change, with the keyboard at the peer it was about. */
  const changed = async (/** @type {string} */ host, /** @type {string} */ news) => {
    await refresh()
    list.focus(host)
    page.announce(news)
  }
  const list = peerTable(admin, changed)
  const introduced = circle(admin, async () => { await Promise.all([reload(), offers.refresh()]) })
  const offers = introducing(admin)
  const reverts = earlierReverts(admin)
  const inGroup = folded(say('groupFold'))
  const groups = group(admin, found => { if (found?.membership) inGroup.open = true })
  inGroup.append(...groups.content)

  const { box, reload } = page.loaded(
    async () => {
      const [found, linked] = await Promise.all([fresh ?? ask('GET', 'peers'), ask('GET', 'network')])
      fresh = null
      /** @type {import('./peer.js').Peer[]} */
      const all = listIn(found, 'peers')
      return { all, cohort: found.cohort, followed: found.followed, linked }
    },
    ({ all, cohort, followed, linked }) => {
      follows.textContent = figure(followed?.total) === null
        ? ''
        : say('followedCount', { total: number(followed.total), asked: number(followed.looked_at), shoal: number(followed.with_shoal) })
      list.show(all, linked, cohort)
      return [
        list.element,
        el('div', { class: 'shoal-beside' },
          network(admin, all, linked, host => { list.focus(host, true) }),
          block(say('cohort'), el('p', {}, admin.tell(...cohort.sentences)), facts([
            [say('cohortApproved'), number(cohort?.approved ?? 0)],
            [say('cohortMutual'), number(cohort?.mutual ?? 0)],
            cohort?.on_word_alone ? [say('cohortStrangers'), number(cohort.on_word_alone)] : null,
            [say('cohortNeeded'), number(cohort?.needed ?? 0)]
          ])))
      ]
    })

  return {
    content: [
      box, el('div', { class: 'shoal-beside' }, adding(admin, changed), finding()), introduced.content, offers.content,
      block(say('tab_group'), inGroup), reverts.content
    ],
    refresh,
    about: async subject => {
      if (subject === '@group') {
        inGroup.open = true
        inGroup.querySelector('summary')?.focus()
        await groups.refresh?.()
        return
      }
      await refresh()
      if (subject === '@circle') introduced.focus()
      // Whoever is only introduced has no entry among the peers.
      else if (subject && !list.focus(subject, true)) introduced.focus()
    }
  }

  async function refresh () {
    await Promise.all([reload(), introduced.refresh(), offers.refresh(), reverts.reload(), groups.refresh?.()])
  }

  function finding () {
    const problem = problemLine()
    const outcome = el('p', { role: 'status' })
    const button = actionButton({
      text: say('findCandidates'),
      problem,
      sayProblem: admin.sayProblem,
      run: async () => {
        outcome.textContent = say('looking')
        try {
          fresh = await ask('POST', 'peers/candidates', {}, 90_000)
        } catch (error) {
          outcome.textContent = ''
          throw error
        }
        const before = list.hosts()
        await reload()
        const found = [...list.hosts()].filter(host => !before.has(host)).length
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
