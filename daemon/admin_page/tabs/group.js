import { actionButton, confirmed, problemLine } from '../lib/controls.js'
import { el } from '../lib/dom.js'
import { isolated, listed, number } from '../lib/texts.js'
import { announcing, invitation, inviting, joinRequests } from './group-hosting.js'
import { hosting, joining } from './group-join.js'
import { memberList } from './group-members.js'
import { keyWords } from './group-words.js'
import { moment } from './numbers.js'
import { badge, block, facts, figure, many, own, plain } from './pieces.js'

/**
 * What every part of the tab works with.
 *
 * @typedef {object} Tab
 * @property {import('./admin.js').Admin} admin the page
 * @property {any} found the group, from the daemon
 * @property {string[]} problems what is wrong, by the daemon
 * @property {string} wrong what the last order could not do
 * @property {(found: any, news: string, about?: { host?: string, wrong?: string }) => Promise<void>} changed shows what
 *   holds after a change, with the keyboard at the member that it was about; `null` asks the daemon for it
 */

/** States, from in to out. */
const STATES = /** @type {const} */ ({
  member: { look: 'green', name: 'groupMember', text: null },
  asked: { look: 'yellow', name: 'groupAsked', text: 'groupAskedText' },
  refused: { look: 'red', name: 'groupRefused', text: 'groupRefusedText' },
  ejected: { look: 'red', name: 'groupEjected', text: 'groupEjectedText' },
  left: { look: 'secondary', name: 'groupLeft', text: 'groupLeftText' }
})

/**
 * The group that this instance learns in, hosts, or could join.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @param {(found: any) => void} loaded is told each time how it stands
 * @returns {import('./tab-list.js').Part} the part
 */
export function group (admin, loaded) {
  const { page, ask } = admin
  /** What an order brought, shown instead of asking again. @type {any} */
  let fresh = null
  let wrong = ''

  const { box, reload } = page.loaded(
    async () => {
      const found = fresh ?? await ask('GET', 'group')
      const failed = wrong
      fresh = null
      wrong = ''
      const membership = found?.membership
      const problems = [membership?.problem, membership?.live?.problem]
      const said = await Promise.all(problems.map(problem => problem && admin.translated(problem, membership.host)))
      return { found, said, failed }
    },
    ({ found, said, failed }) => {
      loaded(found)
      return drawn({ admin, found, problems: said, wrong: failed, changed })
    })

  /** @type {Tab['changed']} */
  const changed = async (found, news, { host = '', wrong: failed = '' } = {}) => {
    fresh = found
    wrong = failed
    await reload()
    // What was pressed may be gone; the keyboard goes on with what it was about.
    const line = [...box.querySelectorAll('li')].find(entry => entry.dataset.host === host && host !== '')
    if (!box.contains(document.activeElement)) (line ?? box.querySelector('h2'))?.focus()
    page.announce(news)
  }

  return { content: [box], refresh: reload }
}

/** @param {Tab} tab the tab */
function drawn (tab) {
  const membership = tab.found?.membership
  if (!membership) return [...introduction(tab), joining(tab), hosting(tab)]
  const hosts = membership.role === 'host'
  const inside = membership.state === 'member'
  return [
    standing(tab),
    ...hosts ? [joinRequests(tab), announcing(tab), invitation(tab), inviting(tab)] : [],
    inside ? memberList(tab) : null,
    ...inside || membership.state === 'asked' ? [] : [joining(tab), hosting(tab)]
  ]
}

/** @param {Tab} tab the tab */
function introduction ({ admin: { say } }) {
  return [block(say('groupIntro'), el('p', {}, say('groupWhat')), el('p', {}, say('groupOrPeers')))]
}

/** @param {Tab} tab the tab */
function standing (tab) {
  const { admin: { say }, found, problems } = tab
  const { membership } = found
  const { counted, published, epoch } = membership
  const hosts = membership.role === 'host'
  const state = STATES[/** @type {keyof typeof STATES} */ (membership.state)] ?? STATES.asked
  const inside = membership.state === 'member'
  const strangers = many(counted?.strangers).map(host => plain(host, 100))
  return block(say('groupOf', { group: isolated(plain(membership.group, 60)) }),
    el('p', {}, hosts ? badge(say('groupHosting'), 'green') : badge(say(state.name), state.look)),
    state.text && !hosts ? el('p', {}, say(state.text)) : null,
    ...problems.filter(problem => problem).map(problem => el('p', { class: 'shoal-warning' }, plain(sentence(problem)))),
    ...(inside ? waitsTexts(say, membership.waits) : []).map(text => el('p', { class: 'shoal-warning' }, text)),
    inside && membership.gives !== false && strangers.length
      ? el('p', { class: 'shoal-warning' }, say('approveMore', { hosts: listed(strangers) }))
      : null,
    facts([
      [say('hostOfGroup'), hosts ? say('thisInstance') : own(membership.host)],
      hosts ? [say('listener'), listenerText(say, membership.live)] : null,
      inside ? [say('nextSum'), nextText(say, membership)] : null,
      inside && !hosts ? [say('connectedTo'), connectedText(say, membership)] : null,
      figure(membership.polled) === null ? null : [say('hostHeard'), moment(membership.polled)],
      inside ? [say('myPart'), membership.gives === false ? say('onlyLearns') : membership.waits ? say('waits') : partText(say, epoch)] : null,
      inside
        ? [say('approvedOf'), say('approvedCount', {
            approved: count(counted?.approved), of: count(counted?.of), needed: count(counted?.needed)
          })]
        : null
    ]),
    published && many(published.words).length
      ? el('div', {}, el('h3', {}, say('newestSum')), el('p', {}, say('newestSumText')), keyWords(published.words, say('newestSum'), true))
      : null,
    ending(tab))
}

/**
 * @param {import('./admin.js').Admin['say']} say the page's sentences
 * @param {any} membership from the daemon
 */
function nextText (say, { next_at: next, members, members_needed: needed, live, role }) {
  if (live?.running === true) return say('sumRunning')
  const at = figure(next)
  if (at !== null) return at * 1000 < Date.now() ? say('sumRunning') : moment(at)
  const [there, wanted] = [figure(members) ?? 0, figure(needed) ?? 0]
  return role === 'host' && there < wanted ? say('sumTooFew', { needed: number(wanted) }) : say('noSum')
}

/**
 * @param {import('./admin.js').Admin['say']} say the page's sentences
 * @param {any} membership from the daemon
 */
function connectedText (say, { connected, live }) {
  if (connected === true) return say('connectedYes')
  if (!live) return say('daemonStopped')
  return say(live.link === 'refused' ? 'linkRefused' : 'connectedNo')
}

/**
 * @param {import('./admin.js').Admin['say']} say the page's sentences
 * @param {any} live what the daemon does now
 */
function listenerText (say, live) {
  if (live?.hosting === 'ready') return badge(say('listenerReady'), 'green')
  if (live?.hosting === 'failed' || !live) return badge(say('listenerFailed'), 'red')
  return badge(say('listenerStarting'), 'yellow')
}

/**
 * @param {import('./admin.js').Admin['say']} say the page's sentences
 * @param {any} waits why sums leave this instance out, or null
 */
function waitsTexts (say, waits) {
  if (!waits) return []
  if (figure(waits.until) === null) return [say('waitsOnce')]
  const until = moment(waits.until)
  /** @param {unknown} hosts members that are in the group for longer */
  const named = hosts => listed(many(hosts).map(host => plain(host, 100)))
  const [by, of] = [named(waits.rejected_by), named(waits.rejects)]
  return [
    waits.too_many === true ? say('waitsMany', { moment: until }) : null,
    by ? say('waitsBy', { hosts: by, moment: until }) : null,
    of ? say('waitsFor', { hosts: of, moment: until }) : null
  ].filter(text => text !== null)
}

/**
 * @param {import('./admin.js').Admin['say']} say the page's sentences
 * @param {any} epoch from the daemon
 */
function partText (say, epoch) {
  const mine = figure(epoch?.mine)
  if (mine === null) return say('noPart')
  const [parts, members] = [figure(epoch.sub_cohorts) ?? 1, number(figure(epoch.members) ?? 0)]
  return parts > 1
    ? say('partOf', { members, part: number(mine), parts: number(parts) })
    : say('partAll', { members })
}

/** @param {Tab} tab the tab */
function ending ({ admin: { say, sayProblem, ask }, found: { membership }, changed }) {
  const hosts = membership.role === 'host'
  const problem = problemLine()
  const name = isolated(plain(membership.group, 60))
  const { state } = membership
  const leaving = state === 'member' ? 'leaveGroup' : state === 'asked' ? 'withdrawRequest' : 'forgetGroup'
  const button = actionButton({
    text: say(hosts ? 'closeGroup' : leaving),
    problem,
    sayProblem,
    run: async () => {
      const sure = await confirmed({
        title: say(hosts ? 'closeTitle' : 'leaveTitle', { group: name }),
        text: say(hosts ? 'closeText' : 'leaveText'),
        yes: say(hosts ? 'closeYes' : 'leaveYes'),
        no: say('cancel')
      })
      if (!sure) return
      const after = await ask('POST', hosts ? 'group/close' : 'group/leave', {}, 60_000)
      await changed(after, say(hosts ? 'closedNow' : 'leftNow'))
    }
  })
  return el('div', {}, el('div', { class: 'shoal-actions' }, button), problem)
}

/** @param {unknown} value what may be a number */
function count (value) {
  return number(figure(value) ?? 0)
}

/** @param {string} text of the daemon, which begins as it likes */
function sentence (text) {
  const whole = text.charAt(0).toUpperCase() + text.slice(1)
  return /[.!?]$/.test(whole) ? whole : `${whole}.`
}
