import { el, safeLink } from '../lib/dom.js'
import { day, number } from '../lib/texts.js'
import { moment, size } from './numbers.js'
import { modeText } from './standing.js'
import { badge, block, code, facts, figure, folded, many, names, nothing, own, plain, table } from './pieces.js'

/** Videos that are shown before somebody asks for the others. */
const AT_FIRST = 20
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
      const tell = await admin.told([
        ...many(found?.kinds).flatMap(({ name, sentence }) => /** @type {[string][]} */ ([[name], [sentence]])),
        ...many(found?.next?.verdicts).map(({ sentence }) => /** @type {[string]} */ ([sentence]))
      ])
      return { found, tell }
    },
    ({ found, tell }) => [
      block(say('kinds'), el('p', {}, modeText(say, found?.mode)), el('dl', { class: 'shoal-kinds' },
        ...many(found?.kinds).flatMap(({ name, sentence }) => [el('dt', {}, tell(name)), el('dd', {}, tell(sentence))]))),
      next(admin, found?.next ?? {}, tell),
      left(admin, many(found?.left)),
      traffic(admin, many(found?.traffic))
    ])
  return { content: [box], refresh: reload }
}

/**
 * @param {import('./admin.js').Admin} admin the page
 * @param {any} found what would leave
 * @param {(sentence: unknown) => string} tell says the daemon's sentences
 */
function next ({ say }, found, tell) {
  const videos = many(found.videos)
  const [total, shown] = [figure(found.total) ?? videos.length, videos.length]
  return block(say('nextShare'),
    facts([
      [say('receivers'), names(found.aggregators, say('nobody'))],
      found.group ? [say('tab_group'), own(found.group)] : null,
      found.group ? [say(found.drawn === 'epoch' ? 'summedWith' : 'summedWithSome'), names(found.members, say('nobody'))] : null,
      [say('vocabulary'), number(figure(found.vocabulary) ?? 0)],
      [say('videosWatched'), number(total)],
      [say('usersCount'), number(figure(found.users) ?? 0)],
      [say('pairsAtMost'), number(figure(found.pairs_at_most) ?? 0)],
      [say('sizeAtMost'), size(figure(found.bytes_at_most) ?? 0)]
    ]),
    el('h3', {}, say('verdicts')),
    many(found.verdicts).length
      ? el('ul', { class: 'shoal-list' }, ...many(found.verdicts).map(({ policy, allowed, sentence }) => (
        el('li', { class: 'shoal-check' }, allowed === true ? badge(say('allowed'), 'green') : badge(say('refused'), 'red'),
          el('div', {}, el('p', {}, tell(sentence)), el('p', { class: 'muted-2' }, plain(policy, 60)))))))
      : nothing(say('noVerdicts')),
    el('h3', {}, say('videosToLeave')),
    shown ? videoTable(say, videos.slice(0, AT_FIRST)) : nothing(say('noVideos')),
    shown > AT_FIRST
      ? folded(say('moreVideos', { more: number(shown - AT_FIRST) }), videoTable(say, videos.slice(AT_FIRST)))
      : null,
    shown && shown < total ? el('p', { class: 'muted-2' }, say('shownOf', { shown: number(shown), total: number(total) })) : null)
}

/**
 * @param {import('./admin.js').Admin['say']} say sentences of the page
 * @param {any[]} videos with their viewers
 */
function videoTable (say, videos) {
  return table(say('videosToLeave'), [say('video'), { title: say('viewersBehind'), number: true }],
    videos.map(({ url, title, users }) => [
      safeLink(plain(url, 2000), plain(title, 200) || plain(url, 200)), number(figure(users) ?? 0)
    ]))
}

/**
 * @param {import('./admin.js').Admin} admin the page
 * @param {any[]} rows what left
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
        figure(row.window_ends) === null ? '–' : day(row.window_ends)
      ]))
    : nothing(say('nothingLeft')))
}

/**
 * @param {import('./admin.js').Admin} admin the page
 * @param {any[]} rows bytes by month and peer
 */
function traffic ({ say }, rows) {
  return block(say('traffic'), rows.length
    ? table(say('traffic'), [say('month'), say('peer'), { title: say('sent'), number: true }, { title: say('received'), number: true }],
      rows.map(({ month, peer, sent, received }) => [
        plain(month, 10), own(peer), size(figure(sent) ?? 0), size(figure(received) ?? 0)
      ]))
    : nothing(say('noTraffic')))
}
