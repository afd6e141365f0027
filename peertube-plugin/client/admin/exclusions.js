import { actionButton, problemLine } from '../lib/controls.js'
import { el, uniqueId } from '../lib/dom.js'
import { isolated } from '../lib/texts.js'
import { parseChannel, parseHost, parseVideo } from './entries.js'

/** @typedef {{ channels: string[], hosts: string[], videos: string[] }} Exclusions */

/** @type {{ kind: keyof Exclusions, text: 'channelsText' | 'hostsText' | 'videosText', parse: (text: string) => string | null }[]} */
const LISTS = [
  { kind: 'channels', text: 'channelsText', parse: parseChannel },
  { kind: 'hosts', text: 'hostsText', parse: parseHost },
  { kind: 'videos', text: 'videosText', parse: parseVideo }
]

/**
 * Channels, instances and videos that are never suggested.
 *
 * @param {import('./sentences.js').AdminPage} page the page
 * @returns {HTMLElement} the part of the page
 */
export function exclusions (page) {
  const { api, say, sayProblem } = page

  const { box } = page.loaded(
    async () => {
      /** @type {Exclusions} */
      const stored = await api.plugin('GET', 'admin/v1/exclusions')
      return stored
    },
    stored => {
      const fields = LISTS.map(list => ({ ...list, field: new ListField(page, list.kind, list.text, stored[list.kind] ?? []) }))
      const problem = problemLine()
      const outcome = el('p', { role: 'status' })

      const save = actionButton({
        text: say('save'),
        look: 'primary',
        problem,
        sayProblem,
        run: async () => {
          outcome.textContent = ''
          const read = fields.map(({ kind, field, parse }) => ({ kind, field, entries: field.read(parse) }))
          const wrong = read.find(({ entries }) => entries === null)
          if (wrong) {
            problem.textContent = say('notSaved')
            wrong.field.input.focus()
            return
          }

          await api.plugin('PUT', 'admin/v1/exclusions', Object.fromEntries(read.map(({ kind, entries }) => [kind, entries])))
          for (const { field, entries } of read) field.write(entries ?? [])
          outcome.textContent = say('saved')
        }
      })

      return [...fields.map(({ field }) => field.element), save, problem, outcome]
    })

  return page.section(say('exclusions'), el('p', {}, say('exclusionsText')), box)
}

/** A list to type, one entry per line, with what is wrong under it. */
class ListField {
  /**
   * @param {import('./sentences.js').AdminPage} page the page
   * @param {keyof Exclusions} kind its label
   * @param {'channelsText' | 'hostsText' | 'videosText'} text its description
   * @param {string[]} entries what it starts with
   */
  constructor ({ say }, kind, text, entries) {
    const id = uniqueId(kind)
    this.say = say
    this.problem = el('p', { id: `${id}-problem`, class: 'shoal-problem' })
    this.input = el('textarea', {
      id, class: 'form-control', rows: '4', dir: 'ltr', spellcheck: 'false', autocapitalize: 'none',
      'aria-describedby': `${id}-text ${id}-problem`
    })
    this.element = el('div', { class: 'form-group' },
      el('label', { for: id }, say(kind)),
      el('div', { id: `${id}-text`, class: 'form-group-description' }, say(text)),
      this.input,
      this.problem)
    this.write(entries)
  }

  /** @param {string[]} entries what it shows */
  write (entries) {
    this.input.value = entries.join('\n')
  }

  /**
   * @param {(text: string) => string | null} parse makes an entry from a line, `null` if it is none
   * @returns {string[] | null} entries without repetition, `null` if a line is wrong, which is then said
   */
  read (parse) {
    const lines = this.input.value.split('\n').map(line => line.trim())
    const wrong = lines.findIndex(line => line !== '' && parse(line) === null)

    this.input.setAttribute('aria-invalid', String(wrong >= 0))
    this.input.classList.toggle('input-error', wrong >= 0)
    this.problem.textContent = wrong < 0 ? '' : this.say('badLine', { line: wrong + 1, text: isolated(lines[wrong] ?? '') })
    return wrong < 0 ? [...new Set(lines.flatMap(line => parse(line) ?? []))] : null
  }
}
