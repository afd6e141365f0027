import { actionButton, problemLine } from '../lib/controls.js'
import { el, uniqueId } from '../lib/dom.js'
import { day, number } from '../lib/texts.js'
import { paged } from './paged.js'
import { badge, block, facts, figure, folded, many, names, own, plain } from './pieces.js'

/** @typedef {import('../ask.js').Answer<'Introduced'>} Introduced */

/**
 * The instances that peers introduce, and one decision about all of them.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @param {() => Promise<void>} approved called after a decision
 * @returns {{ content: HTMLElement, refresh: () => Promise<void>, focus: () => boolean }} the part; nothing is shown
 *   while nobody is introduced
 */
export function circle (admin, approved) {
  const { page, say, ask } = admin
  /** An answer that need not be asked for again. @type {any} */
  let fresh = null
  const { box, reload } = page.loaded(
    async () => {
      const found = fresh ?? await ask('GET', 'circle')
      fresh = null
      /** @type {Introduced[]} */
      const instances = many(found?.instances)
      return { instances, introducers: many(found?.introducers) }
    },
    ({ instances, introducers }) => {
      const undecided = instances.filter(({ state }) => state === 'candidate')
      return undecided.length ? [drawn(undecided, instances, introducers, admin.tell)] : []
    })

  return {
    content: box,
    refresh: reload,
    focus: () => {
      const heading = box.querySelector('h2')
      heading?.focus()
      return heading !== null
    }
  }

  /**
   * @param {Introduced[]} undecided who is not decided about
   * @param {Introduced[]} instances all
   * @param {any[]} introducers who introduces, until when
   * @param {import('./admin.js').Admin['tell']} tell says the daemon's sentences
   */
  function drawn (undecided, instances, introducers, tell) {
    const problem = problemLine()
    const boxes = undecided.filter(({ open }) => open).map(one => ({ one, input: tick(one) }))
    const chosen = () => boxes.filter(({ input }) => input.checked).map(({ one }) => one)
    const known = instances.filter(({ state }) => state === 'approved').length
    const decide = actionButton({
      text: label(),
      look: 'primary',
      problem,
      sayProblem: admin.sayProblem,
      run: async () => {
        const ticked = chosen()
        const left = boxes.map(({ one }) => one.host).filter(host => !ticked.some(one => one.host === host))
        fresh = await ask('POST', 'circle/approve', { ticked: ticked.map(({ host, key }) => ({ host, key })), left }, 60_000)
        await Promise.all([reload(), approved()])
        page.announce(ticked.length ? say.counted('circleApprovedOne', 'circleApprovedOther', ticked.length) : say('circleLeft'))
      }
    })
    const look = actionButton({
      text: say('lookAgain'),
      problem,
      sayProblem: admin.sayProblem,
      run: async () => {
        fresh = await ask('POST', 'circle/look', {}, 90_000)
        await reload()
        page.announce(say('lookedAgain'))
      }
    })
    for (const { input } of boxes) input.addEventListener('change', () => { decide.textContent = label() })
    // A tick stays where it was put while pages are turned.
    const inputs = new Map(boxes.map(({ one, input }) => [one, input]))
    const list = paged(say, {
      label: say('searchPeers'),
      most: 10,
      text: (/** @type {Introduced} */ { host }) => host,
      draw: shown => el('ul', { class: 'shoal-list shoal-cards' }, ...shown.map(one => entry(one, inputs.get(one) ?? null, tell)))
    })
    list.show(undecided)

    return block(say('circle'), el('p', {}, say('circleText')),
      facts([[say('introducers'), el('span', {}, ...introducers.map(({ host, until }) => (
        el('span', { class: 'shoal-introducer' }, say('introducedBy', { host: plain(host, 255), day: day(until) })))))]]),
      list.element,
      known ? el('p', { class: 'muted-2' }, say('approvedOfCircle', { count: number(known) })) : null,
      boxes.length ? el('div', { class: 'shoal-actions' }, decide, look) : el('div', { class: 'shoal-actions' }, look),
      problem)

    function label () {
      const count = chosen().length
      return count ? say.counted('approveTickedOne', 'approveTickedOther', count) : say('leaveAll')
    }
  }

  /** @param {Introduced} one of the circle */
  function tick ({ ticked }) {
    const input = el('input', { type: 'checkbox', id: uniqueId('tick') })
    input.checked = ticked === true
    return input
  }

  /**
   * @param {Introduced} one of the circle
   * @param {HTMLInputElement | null} input its tick, where it can be approved
   * @param {import('./admin.js').Admin['tell']} tell says the daemon's sentences
   */
  function entry (one, input, tell) {
    const text = el('p', { id: uniqueId('text') }, tell(one.sentence))
    input?.setAttribute('aria-describedby', text.id)
    const name = input ? el('label', { for: input.id }, own(one.host)) : own(one.host)
    return el('li', { class: 'shoal-peer' },
      el('div', { class: 'shoal-peer-head' }, input, el('h3', {}, name), ...evidenceBadge(one)),
      text,
      folded(say('whatStands'), facts([
        [say('keyName'), say(one.bound ? 'keyBound' : one.key ? 'keyUnbound' : 'keyUnread')],
        [say('followedName'), one.followed
          ? figure(one.followed_since) === null ? say('yes') : say('followedSince', { day: day(/** @type {number} */ (one.followed_since)) })
          : say('followedNo')],
        [say('videosHere'), figure(one.videos_since) === null
          ? number(figure(one.videos) ?? 0)
          : say('videosSince', { count: number(figure(one.videos) ?? 0), day: day(/** @type {number} */ (one.videos_since)) })],
        [say('namedBy'), names(one.vouchers, say('nobody'))],
        many(one.contradicted_by).length ? [say('otherKeyBy'), names(one.contradicted_by, say('nobody'))] : null
      ])),
      many(one.words).length
        ? folded(say('words'), el('ol', { class: 'shoal-words shoal-words-small', lang: 'en', dir: 'ltr' },
          ...many(one.words).map(word => el('li', {}, plain(word, 20)))))
        : null)
  }

  /** @param {Introduced} one of the circle */
  function evidenceBadge ({ open, evidence }) {
    if (!open) return []
    switch (evidence) {
      case 'followed': return [badge(say('evidenceFollowed'), 'green')]
      case 'vouched': return [badge(say('evidenceVouched'), 'green')]
      default: return [badge(say('evidenceNone'), 'yellow')]
    }
  }
}
