import { listIn } from '../lib/api.js'
import { actionButton, problemLine } from '../lib/controls.js'
import { el, uniqueId } from '../lib/dom.js'
import { videoOf } from '../lib/ids.js'
import { isolated } from '../lib/texts.js'
import { parseChannel, parseHost, parseVideo } from './entries.js'

/** @typedef {{ channels: string[], hosts: string[], videos: string[] }} Exclusions */

/** @typedef {'channelsText' | 'hostsText' | 'videosText'} Description */

/** @type {{ kind: keyof Exclusions, text: Description, parse: (text: string) => string | null }[]} */
const LISTS = [
  { kind: 'channels', text: 'channelsText', parse: parseChannel },
  { kind: 'hosts', text: 'hostsText', parse: parseHost },
  { kind: 'videos', text: 'videosText', parse: parseVideo }
]

/**
 * Channels, instances and videos that are never suggested.
 *
 * @param {import('./admin.js').AdminPage} page the page
 * @returns {HTMLElement} the part of the page
 */
export function exclusions (page) {
  const { api, say, sayProblem } = page

  const { box } = page.loaded(
    async () => {
      const answer = await api.plugin('GET', 'admin/v1/exclusions')
      return LISTS.map(list => ({ ...list, stored: listIn(answer, list.kind) }))
    },
    lists => {
      const fields = lists.map(({ kind, text, parse, stored }) => (
        { kind, parse, field: new ListField(page, kind, text, stored) }))
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

          const wanted = Object.fromEntries(read.map(({ kind, entries }) => [kind, entries ?? []]))
          wanted.videos = await originals(api, wanted.videos ?? [])
          const kept = await api.plugin('PUT', 'admin/v1/exclusions', wanted)
          for (const { kind, field } of read) field.write(listIn(kept, kind))
          outcome.textContent = say('saved')
        }
      })

      return [...fields.map(({ field }) => field.element), save, problem, outcome]
    })

  return page.section(say('exclusions'), el('p', {}, say('exclusionsText')), box)
}

/**
 * A video of another instance that is watched here has an address here too; excluded is the one all instances know.
 *
 * @param {import('../lib/api.js').Api} api for the requests
 * @param {string[]} addresses of videos
 * @returns {Promise<string[]>} the same, each as its own instance names it
 */
async function originals (api, addresses) {
  const here = addresses.filter(address => new URL(address).host === location.host)
    .flatMap(address => videoOf(address) ?? [])
  const known = new Map()
  for (let start = 0; start < here.length; start += 100) {
    const query = new URLSearchParams({ count: '100', nsfw: 'both' })
    for (const uuid of here.slice(start, start + 100)) query.append('uuids', uuid)
    const found = await api.peertube('GET', `search/videos?${query}`)
    for (const video of listIn(found, 'data')) known.set(video.uuid, video.url)
  }
  return [...new Set(addresses.map(address => known.get(videoOf(address)) ?? address))]
}

/** A list to type, one entry per line, with what is wrong under it. */
class ListField {
  /**
   * @param {import('./admin.js').AdminPage} page the page
   * @param {keyof Exclusions} kind its label
   * @param {Description} text its description
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
    const values = { line: wrong + 1, text: isolated(lines[wrong] ?? '') }
    this.problem.textContent = wrong < 0 ? '' : this.say('badLine', values)
    return wrong < 0 ? [...new Set(lines.flatMap(line => parse(line) ?? []))] : null
  }
}
