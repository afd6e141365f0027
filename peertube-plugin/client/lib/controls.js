import { problemText } from './api.js'
import { el, uniqueId } from './dom.js'

/** @typedef {import('./texts.js').Say<import('./api.js').Problem>} SayProblem */

/** @returns {HTMLElement} an empty line that screen readers announce when it is filled */
export function problemLine () {
  return el('p', { class: 'shoal-problem', role: 'alert' })
}

/**
 * A button whose work may fail. While it works a second press does nothing; a failure is said in the given line.
 *
 * @param {object} options what it is
 * @param {string} options.text on the button
 * @param {string} [options.label] longer name for screen readers, containing the text
 * @param {'primary' | 'secondary' | 'danger'} [options.look] PeerTube's button style
 * @param {boolean} [options.small] PeerTube's small size
 * @param {HTMLElement} options.problem where a failure is said
 * @param {SayProblem} options.sayProblem sentences for failures
 * @param {() => Promise<void> | void} options.run what it does
 * @returns {HTMLButtonElement} the button
 */
export function actionButton ({ text, label, look = 'secondary', small = false, problem, sayProblem, run }) {
  const button = el('button', {
    type: 'button',
    class: `peertube-button${small ? ' peertube-button-small' : ''} ${look}-button`,
    'aria-label': label,
    click: async () => {
      if (button.getAttribute('aria-disabled') === 'true') return

      // A disabled button would lose the keyboard's focus.
      button.setAttribute('aria-disabled', 'true')
      problem.textContent = ''
      try {
        await run()
      } catch (error) {
        problem.textContent = problemText(error, sayProblem)
      } finally {
        button.removeAttribute('aria-disabled')
      }
    }
  }, text)
  return button
}

/**
 * A switch that saves at once. If saving fails it goes back to what holds, and says why.
 *
 * @param {object} options what it is
 * @param {string} options.label its name
 * @param {string} [options.description] what it means
 * @param {boolean} options.checked its state
 * @param {boolean} [options.disabled] whether it can be changed
 * @param {SayProblem} options.sayProblem sentences for failures
 * @param {(checked: boolean) => Promise<void>} options.save stores the new state
 * @returns {HTMLElement} the switch with its label and description
 */
export function savingSwitch ({ label, description, checked, disabled = false, sayProblem, save }) {
  const id = uniqueId('switch')
  const problem = problemLine()
  const input = el('input', {
    id,
    type: 'checkbox',
    role: 'switch',
    class: 'shoal-switch',
    checked,
    disabled,
    'aria-describedby': description ? `${id}-description` : undefined
  })

  let saved = checked
  let saving = false
  input.addEventListener('change', async () => {
    if (saving) {
      input.checked = !input.checked
      return
    }

    saving = true
    problem.textContent = ''
    const wanted = input.checked
    try {
      await save(wanted)
      saved = wanted
    } catch (error) {
      problem.textContent = problemText(error, sayProblem)
    } finally {
      input.checked = saved
      saving = false
    }
  })

  return el('div', { class: 'form-group' },
    el('div', { class: 'shoal-switch-row' }, input, el('label', { for: id }, label)),
    description ? el('div', { id: `${id}-description`, class: 'form-group-description' }, description) : null,
    problem)
}

/**
 * One choice out of several that is saved at once. If saving fails it goes back to what holds, and says why.
 *
 * @param {object} options what it is
 * @param {string} options.legend its name, for screen readers
 * @param {{ value: string, label: string, description?: string }[]} options.options what there is to choose
 * @param {string} options.value the one that holds
 * @param {SayProblem} options.sayProblem sentences for failures
 * @param {(value: string) => Promise<void>} options.save stores another one
 * @returns {HTMLElement} the options with their labels and descriptions
 */
export function savingRadios ({ legend, options, value, sayProblem, save }) {
  const name = uniqueId('choice')
  const problem = problemLine()
  const inputs = options.map((option, place) => el('input', {
    id: `${name}-${place}`,
    type: 'radio',
    class: 'shoal-radio',
    name,
    value: option.value,
    checked: option.value === value,
    'aria-describedby': option.description ? `${name}-${place}-description` : undefined
  }))

  let saved = value
  let saving = false
  const chosen = () => inputs.find(input => input.checked)?.value ?? saved
  const settle = async () => {
    // Arrow keys choose every option that they pass: the last one counts, and one request at a time.
    if (saving) return
    saving = true
    problem.textContent = ''
    try {
      while (chosen() !== saved) {
        const wanted = chosen()
        await save(wanted)
        saved = wanted
      }
    } catch (error) {
      problem.textContent = problemText(error, sayProblem)
      const holds = inputs.find(input => input.value === saved)
      const hadFocus = inputs.some(input => input === document.activeElement)
      if (holds) holds.checked = true
      if (hadFocus) holds?.focus()
    } finally {
      saving = false
    }
  }
  for (const input of inputs) input.addEventListener('change', () => { void settle() })

  return el('fieldset', { class: 'shoal-radios' },
    el('legend', { class: 'visually-hidden' }, legend),
    ...options.map(({ label, description }, place) => el('div', { class: 'form-group' },
      el('div', { class: 'shoal-switch-row' }, inputs[place], el('label', { for: inputs[place].id }, label)),
      description ? el('div', { id: `${inputs[place].id}-description`, class: 'form-group-description' }, description) : null)),
    problem)
}

/**
 * Ask before something that cannot be undone. Escape and the browser's back gesture mean no.
 *
 * @param {object} question what is asked
 * @param {string} question.title its heading
 * @param {string} question.text what follows from yes
 * @param {string} question.yes the answer that does it
 * @param {string} question.no the harmless answer
 * @param {'primary' | 'danger'} [question.look] of yes
 * @param {(Node | null)[]} [question.content] what to look at before answering
 * @param {() => boolean} [question.check] whether what was typed can be used; if not, the question stays
 * @returns {Promise<boolean>} whether the answer was yes
 */
export function confirmed ({ title, text, yes, no, look = 'danger', content = [], check = () => true }) {
  return new Promise(resolve => {
    const titleId = uniqueId('dialog')
    const dialog = el('dialog', {
      class: 'shoal-dialog',
      'aria-labelledby': titleId,
      'aria-describedby': `${titleId}-text`,
      close: () => {
        resolve(dialog.returnValue === 'yes')
        dialog.remove()
      }
    },
    // With something to look at, the answer is not where one begins.
    el('h2', { id: titleId, tabindex: '-1', autofocus: content.length > 0 }, title),
    el('p', { id: `${titleId}-text` }, text),
    ...content.filter(part => part !== null),
    el('div', { class: 'shoal-buttons' },
      // The harmless answer comes first and so has the focus.
      el('button', {
        type: 'button', class: 'peertube-button secondary-button', autofocus: content.length === 0, click: () => dialog.close('no')
      }, no),
      el('button', { type: 'button', class: `peertube-button ${look}-button`, click: () => { if (check()) dialog.close('yes') } }, yes)))

    document.body.append(dialog)
    dialog.showModal()
  })
}
