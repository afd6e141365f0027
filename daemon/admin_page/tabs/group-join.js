import { actionButton, problemLine } from '../lib/controls.js'
import { el, uniqueId } from '../lib/dom.js'
import { isolated } from '../lib/texts.js'
import { compared } from './group-words.js'
import { badge, block, folded, many, own, plain } from './pieces.js'

const NAME = /^[a-z0-9](?:[a-z0-9.-]{0,46}[a-z0-9])?$/

/**
 * What an invitation says. It may be the whole command, an address, or a host's name.
 *
 * @param {string} text as it was pasted
 * @returns {{ url: string, group: string } | null} where the group is hosted, and its name if it says so
 */
export function parseInvitation (text) {
  const [, url = '', group = ''] = /^(?:(?:\$ )?shoal group join )?(\S+)(?: --group[ =](\S+))?$/.exec(text.trim().replace(/\s+/g, ' ')) ?? []
  // Whether that is an address is for the daemon to say.
  return url === '' || (group !== '' && !NAME.test(group)) ? null : { url, group }
}

/**
 * Join a group: look at it, compare the words of its host, ask.
 *
 * @param {import('./group.js').Tab} tab the tab
 * @returns {HTMLElement} the form
 */
export function joining ({ admin: { say, sayProblem, ask }, changed }) {
  const form = lineForm(say('invitationField'), say('invitationText'), say('lookAt'), sayProblem, async (text, wrong) => {
    const wanted = parseInvitation(text)
    if (!wanted) {
      wrong(say('badInvitation'))
      return
    }
    const offer = await ask('POST', 'group/look', wanted, 60_000)
    if (!await agreed(say, offer)) return
    const order = { url: plain(offer.url, 500), group: plain(offer.group, 60), key: plain(offer.host?.key, 100) }
    const found = await ask('POST', 'group/join', order, 60_000)
    const inside = found?.membership?.state === 'member'
    await changed(found, inside
      ? say('joinedNow', { group: isolated(order.group) })
      : say('askedToJoin', { host: isolated(plain(offer.host?.host, 255)) }))
  })
  return block(say('joinGroup'), form)
}

/**
 * @param {import('./admin.js').Admin['say']} say the page's sentences
 * @param {any} offer a group as its host shows it
 */
function agreed (say, offer) {
  const host = isolated(plain(offer?.host?.host, 255))
  const members = many(offer?.members)
  const question = {
    title: say('joinTitle', { group: isolated(plain(offer?.group, 60)), host }),
    text: say('compareHost', { host }),
    yes: say('joinYes')
  }
  return compared(say, question, offer?.host,
    folded(say.counted('membersOne', 'membersOther', members.length),
      el('ul', { class: 'shoal-list' }, ...members.map(member => el('li', {},
        el('div', { class: 'shoal-peer-head' }, own(member.host), approvedBadge(say, member.approved)),
        el('span', { class: 'muted-2', lang: 'en', dir: 'ltr' }, many(member.words).map(word => plain(word, 20)).join(' ')))))),
    el('p', {}, say('joinApproves')))
}

/**
 * Begin to host a group.
 *
 * @param {import('./group.js').Tab} tab the tab
 * @returns {HTMLElement} the form
 */
export function hosting ({ admin: { say, sayProblem, ask }, changed }) {
  const form = lineForm(say('groupName'), say('groupNameText'), say('hostIt'), sayProblem, async (text, wrong) => {
    if (!NAME.test(text)) {
      wrong(say('badGroupName'))
      return
    }
    await changed(await ask('POST', 'group/host', { name: text }, 60_000), say('hostedNow', { group: isolated(text) }))
  })
  return block(say('hostGroup'), el('p', {}, say('hostGroupText')), form)
}

/**
 * One field and one button, which Enter in the field presses.
 *
 * @param {string} label of the field
 * @param {string} description what to type there
 * @param {string} yes on the button
 * @param {import('../lib/controls.js').SayProblem} sayProblem sentences for failures
 * @param {(text: string, wrong: (why: string) => void) => Promise<void>} run what is done with what was typed
 * @param {Record<string, string>} [kind] attributes of the field, where it is no plain text
 * @returns {HTMLElement} the form
 */
export function lineForm (label, description, yes, sayProblem, run, kind = { type: 'text', autocomplete: 'off' }) {
  const id = uniqueId('line')
  const problem = problemLine()
  const input = el('input', {
    id, class: 'form-control', dir: 'ltr', spellcheck: 'false', autocapitalize: 'none', 'aria-describedby': `${id}-text`, ...kind
  })
  const button = actionButton({
    text: yes,
    look: 'primary',
    problem,
    sayProblem,
    run: () => {
      input.setAttribute('aria-invalid', 'false')
      return run(input.value.trim(), why => {
        problem.textContent = why
        input.setAttribute('aria-invalid', 'true')
        input.focus()
      })
    }
  })
  const form = el('form', {
    class: 'shoal-line-form',
    novalidate: true,
    submit: event => {
      event.preventDefault()
      button.click()
    }
  }, input, button)
  return el('div', { class: 'form-group' },
    el('label', { for: id }, label),
    el('div', { id: `${id}-text`, class: 'form-group-description' }, description),
    form, problem)
}

/**
 * @param {import('./admin.js').Admin['say']} say the page's sentences
 * @param {unknown} approved whether an instance is approved here by the key that is listed
 * @returns {HTMLElement} a label
 */
export function approvedBadge (say, approved) {
  switch (approved) {
    case 'yes': return badge(say('peerApproved'), 'green')
    case 'other-key': return badge(say('approvedOther'), 'red')
    default: return badge(say('peerCandidate'), 'yellow')
  }
}
