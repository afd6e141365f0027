/** The page by itself, at an address of the daemon: on this machine only, for whoever has the daemon's token. */
import { loadLanguage, spoken } from '../languages.js'
import { RequestError } from '../lib/api.js'
import { el, uniqueId } from '../lib/dom.js'
import { showPage } from '../page.js'
import { addressOf, parseOpening } from './fragment.js'

/** @typedef {import('./fragment.js').Opening} Opening */
/** @typedef {import('../languages.js').Say} Say */

const STORED = 'shoal-admin'
const HEADER = 'X-Shoal-Admin'
/** Beside this page, whatever may stand before it in the address. */
const API = new URL('../v1/admin', new URL('.', location.href)).href

void start()

/** Take the token out of the address bar, then show the page, or ask for the token. */
async function start () {
  const opening = parseOpening(location.hash)
  if (opening) {
    // The token must not stay where it is seen, copied or kept in the history.
    history.replaceState(null, '', `${location.pathname}${location.search}${opening.tab ? `#${opening.tab}` : ''}`)
    sessionStorage.setItem(STORED, JSON.stringify(opening))
  }
  // A link with a token that is opened in this window again changes only what follows the number sign.
  window.addEventListener('hashchange', () => { if (parseOpening(location.hash)) location.reload() })
  const language = spoken(navigator.languages)
  document.documentElement.lang = language
  const { say } = await loadLanguage(language)
  const known = opening ?? stored()
  await (known ? show(say, known) : ask(say, ''))
}

/** @returns {Opening | null} what this window was opened with */
function stored () {
  try {
    return JSON.parse(sessionStorage.getItem(STORED) ?? 'null')
  } catch {
    return null
  }
}

/**
 * @param {Say} say sentences of this page
 * @param {Opening} opening token and other instances
 */
async function show (say, opening) {
  const host = el('bdi', {})
  const place = el('div', { class: 'shoal-page' })
  const shown = showPage(place, {
    api: API,
    headers: () => ({ [HEADER]: opening.token }),
    failed: error => error instanceof RequestError && error.status === 403 ? ask(say, say('tokenRefused')) : undefined
  })
  frame(
    el('header', { class: 'alone-header' }, el('h1', { class: 'title-page' }, say('productName'), ' ', host), switcher(say, opening)),
    place)
  const overview = await (await shown).ask('GET', 'overview').catch(() => null)
  if (typeof overview?.host !== 'string') return
  host.textContent = overview.host
  document.title = `${overview.host} · Shoal`
}

/**
 * Links to the pages of the other daemons of a demonstration.
 *
 * @param {Say} say sentences of this page
 * @param {Opening} opening token and other instances
 */
function switcher (say, { instances }) {
  if (instances.length < 2) return null
  return el('nav', { class: 'alone-switcher', 'aria-label': say('instances') }, el('ul', {}, ...instances.map(instance => {
    const here = instance.port === location.port
    const link = el('a', {
      class: 'pt',
      href: addressOf(location, instance, instances, ''),
      'aria-current': here ? 'page' : undefined,
      // The same part of the other instance's page is what one wants to compare.
      click: () => { link.href = addressOf(location, instance, instances, location.hash.slice(1)) }
    }, el('bdi', {}, instance.name))
    return el('li', {}, link)
  })))
}

/**
 * Ask for the token.
 *
 * @param {Say} say sentences of this page
 * @param {string} problem why it is asked for again
 */
async function ask (say, problem) {
  sessionStorage.removeItem(STORED)
  const id = uniqueId('token')
  const input = el('input', {
    id, class: 'form-control', type: 'password', autocomplete: 'off', spellcheck: 'false', dir: 'ltr', 'aria-describedby': `${id}-text`
  })
  const wrong = el('p', { class: 'shoal-problem', role: 'alert' })
  const form = el('form', {
    class: 'alone-token',
    submit: event => {
      event.preventDefault()
      const given = input.value.trim()
      // The whole address is as good as the token in it.
      const opening = parseOpening(given.includes('#') ? given.slice(given.indexOf('#')) : `#token=${encodeURIComponent(given)}`)
      if (!opening) {
        wrong.textContent = say('noToken')
        input.focus()
        return
      }
      sessionStorage.setItem(STORED, JSON.stringify(opening))
      location.reload()
    }
  },
  el('p', {}, say('tokenText')),
  el('label', { for: id }, say('token')),
  el('div', { id: `${id}-text`, class: 'form-group-description' }, say('tokenWhere')),
  input, wrong,
  el('button', { type: 'submit', class: 'peertube-button primary-button' }, say('open')))
  frame(el('header', { class: 'alone-header' }, el('h1', { class: 'title-page' }, say('productName'))), el('div', { class: 'shoal-page' }, form))
  wrong.textContent = problem
  input.focus()
}

/** @param {...(HTMLElement | null)} content of the page */
function frame (...content) {
  document.getElementById('page')?.replaceChildren(...content.filter(part => part !== null))
}
