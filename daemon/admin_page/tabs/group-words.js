import { confirmed } from '../lib/controls.js'
import { el } from '../lib/dom.js'
import { isolated } from '../lib/texts.js'
import { many, plain } from './pieces.js'

/** Who says that a key is a host's own. */
const VOUCHERS = /** @type {const} */ ({ domain: 'voucherDomain', card: 'voucherCard', book: 'voucherBook', unread: 'voucherUnread' })

/**
 * A key, or a hash, as words.
 *
 * @param {unknown} words to read out
 * @param {string} label what they are of
 * @param {boolean} [small] whether they stand beside others
 * @returns {HTMLElement} the words
 */
export function keyWords (words, label, small = false) {
  return el('ol', { class: `shoal-words${small ? ' shoal-words-small' : ''}`, lang: 'en', dir: 'ltr', 'aria-label': label },
    ...many(words).map(word => el('li', {}, plain(word, 20))))
}

/**
 * Have an administrator compare a key by its words.
 *
 * @param {import('./admin.js').Admin['say']} say the page's sentences
 * @param {{ title: string, text: string, yes: string }} question what is asked
 * @param {any} seen the key and who vouches for it, from the daemon
 * @param {...(Node | null)} more to look at before answering
 * @returns {Promise<boolean>} whether the words are the same
 */
export function compared (say, question, seen, ...more) {
  const voucher = VOUCHERS[/** @type {keyof typeof VOUCHERS} */ (seen?.voucher)] ?? 'voucherUnread'
  return confirmed({
    ...question,
    no: say('cancel'),
    look: 'primary',
    content: [keyWords(seen?.words, say('words')), el('p', {}, say(voucher)), ...more]
  })
}

/**
 * Ask an instance for its key, and have it compared.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @param {string} typed whose key: its host, or another form of its address
 * @param {'approve' | 'letIn' | 'invite'} what it is compared for
 * @returns {Promise<{ host: string, key: string } | null>} its host and the key, `null` if it is not theirs
 */
export async function lookedAt ({ say, ask }, typed, what) {
  const seen = await ask('POST', 'group/key', { host: typed }, 60_000)
  const host = plain(seen?.host, 255)
  const name = isolated(host)
  const question = { title: say(`${what}Title`, { host: name }), text: say('compareWords', { host: name }), yes: say(`${what}Yes`) }
  return await compared(say, question, seen) ? { host, key: plain(seen?.key, 100) } : null
}
