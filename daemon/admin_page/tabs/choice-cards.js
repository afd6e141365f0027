import { actionButton, confirmed, problemLine } from '../lib/controls.js'
import { el, uniqueId } from '../lib/dom.js'
import { badge, plain } from './pieces.js'

/** @typedef {import('./pieces.js').Content} Content */

/**
 * @typedef {object} Card
 * @property {string} value what choosing it means to the daemon
 * @property {string} name its name
 * @property {string} text one sentence
 * @property {string} problem why it cannot be chosen, empty where it can
 * @property {import('../languages.js').Sentence[]} confirm what it would let out that stays here now
 * @property {Content[]} [more] what stands below the sentence
 */

/**
 * Cards of which one holds. Choosing another one changes nothing yet: it shows what would follow, with a button that
 * does it.
 *
 * @param {import('./admin.js').Admin} admin the page
 * @param {object} choice what there is to choose
 * @param {string} choice.legend its name, for screen readers
 * @param {string} choice.holds the value that holds
 * @param {boolean} choice.locked whether another one may be chosen
 * @param {Card[]} choice.cards all of them
 * @param {'apply_mode' | 'apply_level'} choice.apply what the button says
 * @param {'confirmMode' | 'confirmLevel'} choice.question what is asked where something is let out
 * @param {(card: Card) => Content[]} choice.preview what would follow
 * @param {(value: string, agreed: string[]) => Promise<void>} choice.save lets it hold
 * @returns {HTMLElement} the cards
 */
export function choiceCards (admin, { legend, holds, locked, cards, apply, question, preview, save }) {
  const { say, tell, sayProblem } = admin
  const name = uniqueId('choice')
  const place = el('div', { class: 'shoal-consequence', 'aria-live': 'polite' })

  const choose = (/** @type {Card} */ card) => {
    if (card.value === holds) {
      place.replaceChildren()
      return
    }
    const problem = problemLine()
    const button = actionButton({
      text: say(apply, { name: card.name }),
      look: 'primary',
      problem,
      sayProblem,
      run: async () => {
        const agreed = card.confirm.length === 0 || await confirmed({
          title: say(question, { name: card.name }),
          text: say('confirmText'),
          yes: say(apply, { name: card.name }),
          no: say('keepIt'),
          look: 'primary',
          content: [el('ul', { class: 'shoal-lets-out' }, ...card.confirm.map(sentence => el('li', {}, tell(sentence))))]
        })
        if (agreed) await save(card.value, card.confirm.map(({ code }) => code))
      }
    })
    place.replaceChildren(...preview(card).filter(part => part !== null), el('div', { class: 'shoal-apply' }, button), problem)
  }

  const inputs = cards.map((card, at) => el('input', {
    id: `${name}-${at}`,
    type: 'radio',
    class: 'shoal-radio',
    name,
    value: card.value,
    checked: card.value === holds,
    disabled: card.value !== holds && (locked || card.problem !== ''),
    'aria-describedby': `${name}-${at}-text`,
    change: () => { choose(card) }
  }))
  return el('div', {},
    el('fieldset', { class: 'shoal-choices' },
      el('legend', { class: 'visually-hidden' }, legend),
      ...cards.map((card, at) => el('div', { class: 'shoal-card' },
        el('div', { class: 'shoal-switch-row' }, inputs[at] ?? null,
          el('label', { for: `${name}-${at}` }, card.name),
          card.value === holds ? badge(say('inEffect'), 'green') : null),
        el('div', { id: `${name}-${at}-text`, class: 'shoal-card-text' },
          el('p', {}, card.text),
          card.problem ? el('p', { class: 'muted-2' }, plain(card.problem)) : null,
          ...card.more ?? [])))),
    place)
}
