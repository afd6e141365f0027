import { actionButton, problemLine } from '../lib/controls.js'
import { el, safeLink, uniqueId } from '../lib/dom.js'
import { day, number } from '../lib/texts.js'
import { moment, size } from './numbers.js'
import { badge, block, code, facts, figure, folded, names, nothing, own, plain, table } from './pieces.js'

/** @typedef {import('../ask.ts').Answer<'Share'>} Share */

/** Videos on a page. */
const AT_ONCE = 25
/** Stands for the aggregator of noisy counts that went to nobody: others see the head that is chosen from them. */
const OWN = 'own release'

/**
 * What leaves this instance: which kinds of data, what would be next, what was.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @returns {import('./tab-list.js').Part} the part
 */
export function shared (admin) {
  const { page, say, ask } = admin
  const { box, reload } = page.loaded(
    async () => {
      // The daemon counts anew what would leave, which takes a while with many viewers.
      const found = await ask('GET', 'share', undefined, 60_000)
      return found
    },
    found => [
      next(admin, found.next),
      videos(admin),
      left(admin, found.left),
      traffic(admin, found.traffic),
      block(say('kinds'), folded(say('kindsText', { count: number(found.kinds.length) }), el('dl', { class: 'shoal-kinds' },
        ...found.kinds.flatMap(({ name, sentence }) => [el('dt', {}, plain(name)), el('dd', {}, plain(sentence))]))))
    ])
  return { content: [box], refresh: reload }
}

/**
 * @param {import('./admin.js').Admin} admin the page
 * @param {Share['next']} found what would leave
 */
function next ({ say, tell }, found) {
  return block(say('nextShare'),
    facts([
      [say('receivers'), names(found.aggregators, say('nobody'))],
      found.group ? [say('tab_group'), own(found.group)] : null,
      found.group ? [say(found.drawn === 'epoch' ? 'summedWith' : 'summedWithSome'), names(found.members, say('nobody'))] : null,
      [say('vocabulary'), number(found.vocabulary)],
      [say('videosWatched'), number(found.total)],
      [say('usersCount'), number(found.users)],
      [say('pairsAtMost'), number(found.pairs_at_most)],
      [say('sizeAtMost'), size(found.bytes_at_most)]
    ]),
    el('h3', {}, say('verdicts')),
    found.verdicts.length
      ? el('ul', { class: 'shoal-list' }, ...found.verdicts.map(({ policy, allowed, sentences }) => (
        el('li', { class: 'shoal-check' }, allowed ? badge(say('allowed'), 'green') : badge(say('refused'), 'red'),
          el('div', {}, el('p', {}, tell(...sentences)), el('p', { class: 'muted-2' }, plain(policy, 60)))))))
      : nothing(say('noVerdicts')))
}

/**
 * The videos that would leave, a page at a time, found by words.
 *
 * @param {import('./admin.js').Admin} admin the page
 */
function videos (admin) {
  const { page, say, sayProblem, ask } = admin
  const id = uniqueId('shared-search')
  const asked = { words: '', offset: 0 }
  const problem = problemLine()

  const { box, reload } = page.loaded(
    () => ask('GET', `share/videos?${new URLSearchParams({ q: asked.words, offset: String(asked.offset), limit: String(AT_ONCE) })}`, undefined, 60_000),
    answer => {
      const shown = answer.videos.length
      back.hidden = asked.offset === 0
      forth.hidden = asked.offset + shown >= answer.found
      if (answer.total === 0) return [nothing(say('noVideos'))]
      if (shown === 0) return [nothing(say('sharedNone'))]
      const [first, last] = [asked.offset + 1, asked.offset + shown].map(place => number(place))
      return [
        el('p', { class: 'muted-2', role: 'status' },
          say('sharedFound', { from: first ?? '', to: last ?? '', found: number(answer.found) }), ' · ', say('countedAt', { at: moment(answer.at) })),
        table(say('videosToLeave'), [say('video'), { title: say('viewersBehind'), number: true }],
          answer.videos.map(({ url, title, users }) => [
            safeLink(plain(url, 2000), plain(title, 200) || plain(url, 200)), number(users)
          ]))
      ]
    })
  const turn = (/** @type {'previousPage' | 'nextPage'} */ name, /** @type {number} */ by) => actionButton({
    text: say(name),
    problem,
    sayProblem,
    run: async () => {
      asked.offset = Math.max(0, asked.offset + by)
      await reload()
      heading?.focus()
    }
  })
  const [back, forth] = [turn('previousPage', -AT_ONCE), turn('nextPage', AT_ONCE)]
  const input = el('input', { id, class: 'form-control', type: 'search', maxlength: '200', 'aria-describedby': `${id}-text` })
  const form = el('form', {
    role: 'search',
    submit: event => {
      event.preventDefault()
      Object.assign(asked, { words: input.value.trim(), offset: 0 })
      void reload()
    }
  },
  el('div', { class: 'form-group' },
    el('label', { for: id }, say('sharedSearch')),
    el('div', { id: `${id}-text`, class: 'form-group-description' }, say('sharedSearchText')),
    el('div', { class: 'shoal-line-form' }, input,
      el('button', { type: 'submit', class: 'peertube-button secondary-button' }, say('search')))))
  const element = block(say('videosToLeave'), form, box, el('div', { class: 'shoal-pages' }, back, forth), problem,
    el('p', { class: 'muted-2' }, say('allVideos')))
  const heading = element.querySelector('h2')
  return element
}

/**
 * @param {import('./admin.js').Admin} admin the page
 * @param {Share['left']} rows what left
 */
function left ({ say }, rows) {
  return block(say('whatLeft'), rows.length
    ? table(say('whatLeft'),
      [say('moment'), say('receiver'), say('round'), { title: say('vocabulary'), number: true },
        { title: say('head'), number: true }, { title: say('size'), number: true }, 'SHA-256', say('windowEnds')],
      rows.map(row => [
        moment(figure(row.at) ?? 0), row.aggregator === OWN ? say('ownRelease') : own(row.aggregator),
        row.round ? code(row.round) : '–',
        number(figure(row.vocabulary) ?? 0), number(figure(row.head) ?? 0), size(figure(row.bytes) ?? 0),
        code(row.sha256),
        row.window_ends === null ? '–' : day(row.window_ends)
      ]))
    : nothing(say('nothingLeft')))
}

/**
 * @param {import('./admin.js').Admin} admin the page
 * @param {Share['traffic']} rows bytes by month and peer
 */
function traffic ({ say }, rows) {
  return block(say('traffic'), rows.length
    ? table(say('traffic'), [say('month'), say('peer'), { title: say('sent'), number: true }, { title: say('received'), number: true }],
      rows.map(({ month, peer, sent, received }) => [
        plain(month, 10), own(peer), size(figure(sent) ?? 0), size(figure(received) ?? 0)
      ]))
    : nothing(say('noTraffic')))
}
