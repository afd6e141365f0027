import { confirmed } from '../lib/controls.js'
import { el, uniqueId } from '../lib/dom.js'
import { isolated, number } from '../lib/texts.js'
import { figure, many, plain } from './pieces.js'

/**
 * Ask whether a peer's key is really its own, word by word, and how many of its viewers may count.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @param {import('./peer.js').Peer} peer from the daemon
 * @returns {Promise<{ key: string, max_users?: number } | null>} the approval, `null` if it was not given
 */
export async function approve ({ say }, peer) {
  const changed = many(peer.next_key_words).length > 0
  const words = changed ? peer.next_key_words : many(peer.words)
  const again = !changed && (peer.state === 'approved' || peer.state === 'paused')
  const host = isolated(plain(peer.host))
  const id = uniqueId('most')
  const wrong = el('p', { id: `${id}-problem`, class: 'shoal-problem', role: 'alert' })
  const input = el('input', {
    id, class: 'form-control', type: 'text', inputmode: 'numeric', autocomplete: 'off', dir: 'ltr',
    'aria-describedby': `${id}-text ${id}-problem`
  })
  input.value = figure(peer.max_users) === null ? '' : String(peer.max_users)

  const most = () => input.value.trim() === '' ? null : /^[1-9]\d{0,8}$/.test(input.value.trim()) ? Number(input.value) : NaN
  const yes = await confirmed({
    title: say(again ? 'limitTitle' : changed ? 'newKeyTitle' : 'approveTitle', { host }),
    text: say(changed ? 'compareNewWords' : 'compareWords', { host }),
    yes: say(again ? 'save' : 'approveYes'),
    no: say('cancel'),
    look: 'primary',
    content: [
      el('ol', { class: 'shoal-words', lang: 'en', dir: 'ltr', 'aria-label': say('words') },
        ...words.map(word => el('li', {}, plain(word, 20)))),
      el('p', {}, say(peer.bound ? 'boundYes' : 'boundNo')),
      el('div', { class: 'form-group' },
        el('label', { for: id }, say('maxUsers')),
        el('div', { id: `${id}-text`, class: 'form-group-description' }, figure(peer.users) === null
          ? say('maxUsersText')
          : `${say('maxUsersText')} ${say('theirUsersText', { users: number(/** @type {number} */ (peer.users)) })}`),
        input, wrong)
    ],
    check: () => {
      const usable = !Number.isNaN(most())
      input.setAttribute('aria-invalid', String(!usable))
      wrong.textContent = usable ? '' : say('badNumber')
      if (!usable) input.focus()
      return usable
    }
  })
  if (!yes) return null
  const limit = most()
  return { key: changed ? peer.next_key ?? '' : peer.key, ...(limit === null ? {} : { max_users: limit }) }
}
