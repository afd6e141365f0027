/** What holds for the client's files and texts without a browser. */
import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, relative } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath, pathToFileURL } from 'node:url'

const PLUGIN = fileURLToPath(new URL('../../../peertube-plugin/', import.meta.url))
const PACKAGE = JSON.parse(readFileSync(join(PLUGIN, 'package.json'), 'utf8'))
const FRENCH = JSON.parse(readFileSync(join(PLUGIN, 'languages/fr.json'), 'utf8'))
const filesIn = folder => readdirSync(join(PLUGIN, folder), { recursive: true, withFileTypes: true })
  .filter(entry => entry.name.endsWith('.js')).map(entry => join(entry.parentPath, entry.name))
const CLIENT = filesIn('client')
// What starts at once when it is loaded has no sentences of its own.
const FILES = [...CLIENT, ...filesIn('standalone').filter(file => !file.endsWith('standalone.js'))]

globalThis.location ??= /** @type {any} */ (new URL('https://here.example/p/shoal'))
const load = path => import(pathToFileURL(join(PLUGIN, 'client', path)).href)

describe('client files', () => {
  it('are all in package.json, since PeerTube serves no others', () => {
    assert.deepEqual(
      PACKAGE.clientScripts.map(({ script }) => script).sort(),
      CLIENT.map(file => relative(PLUGIN, file)).sort())
  })

  it('make no markup from text', () => {
    for (const file of [...FILES, join(PLUGIN, 'standalone/standalone.js')]) {
      const text = readFileSync(file, 'utf8')
      assert.doesNotMatch(text, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment/, file)
      assert.doesNotMatch(text, /DOMParser|srcdoc|markdownRenderer|showModal\(\{/, file)
    }
  })

  it('use only colours of the theme', () => {
    const css = readFileSync(join(PLUGIN, 'assets/shoal.css'), 'utf8')
    const paint = /(?:color|background|border|outline)[\w-]*:([^;]+);/g
    const painted = [...css.matchAll(paint)].map(([, value]) => value)
    assert.ok(painted.length > 10)
    for (const value of painted) {
      const own = value.replaceAll(/var\([^)]*\)+/g, '').replace('rgb(0 0 0 / 60%)', '')
      assert.doesNotMatch(own, /#|rgb|hsl|white|black|red|green|blue|gr[ae]y/, value)
    }
    assert.doesNotMatch(css, /(?:margin|padding|border)-(?:left|right)|[^-](?:left|right):|align: (?:left|right)|float/)
  })
})

describe('texts', () => {
  it('are all in French, with the same gaps', async () => {
    for (const file of FILES) {
      const { SENTENCES = {} } = await import(pathToFileURL(file).href)
      for (const sentence of Object.values(SENTENCES)) {
        const french = FRENCH[sentence]
        assert.ok(french, `no French for “${sentence}”`)
        assert.deepEqual(gaps(french), gaps(sentence), sentence)
      }
    }
  })

  it('are those that something says', async () => {
    const read = files => files.map(file => readFileSync(file, 'utf8')).join('\n')
    const javascript = read([...FILES, ...readdirSync(join(PLUGIN, 'server')).map(name => join(PLUGIN, 'server', name))])
    const python = read(['daemon', 'policies'].flatMap(folder => readdirSync(join(PLUGIN, '..', folder), { recursive: true })
      .filter(name => name.endsWith('.py')).map(name => join(PLUGIN, '..', folder, name))))
    const said = [
      javascript.replace(/['"`] \+\s+['"`]/g, '').replace(/\\'/g, '\''),
      // Literals beside each other are one.
      python.replace(/(["'])\n\s*f?\1/g, '')
    ].join('\n')
    for (const sentence of Object.keys(FRENCH)) {
      // Numbers are gaps in what the server says; a constant's value is one in its source.
      const parts = sentence.split(/\{(?:\d+|subject)\}|\b16\b/)
      assert.ok(parts.every(part => said.includes(part)), `nothing says “${sentence}”`)
    }
  })

  it('of the server are said in the viewer\'s language, all or nothing', async () => {
    const { serverText } = await load('lib/texts.js')
    const french = { 'A sum needs {0}, so {1} more.': 'Il en faut {0}, encore {1}.', '{subject} asks.': '{subject} demande.', 'Wait.': 'Attendez.' }
    const helpers = { translate: async text => french[text] ?? text }
    assert.equal(await serverText(helpers, 'A sum needs 4, so 12 more.'), 'Il en faut 4, encore 12.')
    assert.equal(await serverText(helpers, 'a7.example asks. Wait.', 'a7.example'), 'a7.example demande. Attendez.')
    assert.equal(await serverText(helpers, 'b.example asks. Run.', 'b.example'), 'b.example asks. Run.')
    assert.equal(await serverText(helpers, '{subject} {0} {constructor}', 'x'), '{subject} {0} {constructor}'.replace('{subject}', 'x'))
  })

  it('of the settings are all in French', () => {
    const { declare } = createRequire(import.meta.url)(join(PLUGIN, 'server/settings.js'))
    const declared = []
    declare(setting => declared.push(setting), 'secret')
    const texts = declared.flatMap(({ label, html, descriptionHTML, options = [] }) => (
      [label, html, descriptionHTML, ...options.map(option => option.label)]))
    assert.ok(declared.length > 4)
    for (const text of texts.filter(text => text)) assert.ok(FRENCH[text], `no French for “${text}”`)
  })

  it('are written out where a number decides', async () => {
    const { loadTexts } = await load('lib/texts.js')
    globalThis.document = /** @type {any} */ ({ documentElement: { lang: 'fr' } })
    const french = { '{count} a': '{count} un', '{count} b': '{count} plusieurs' }
    const helpers = { translate: async text => french[text] }
    const say = await loadTexts(helpers, { one: '{count} a', other: '{count} b', left: 'as it {is} {is}' })
    assert.deepEqual([0, 1, 2, 1234].map(count => say.counted('one', 'other', count)), ['0 un', '1 un', '2 plusieurs', '1\u202F234 plusieurs'])
    assert.equal(say('left'), 'as it {is} {is}')
    assert.equal(say('left', { is: '{is}' }), 'as it {is} {is}', 'a value is no pattern')
    const broken = await loadTexts({ translate: () => Promise.reject(new Error('offline')) }, { one: 'English' })
    assert.equal(broken('one'), 'English')
    delete globalThis.document
  })
})

describe('ids and addresses', () => {
  it('of videos are read from links', async () => {
    const { uuidOf, videoOf } = await load('lib/ids.js')
    const uuid = '0b6d7d0e-2f5a-4d0f-8f6c-1d2e3f4a5b6c'
    assert.equal(videoOf(`/w/${uuid}`), uuid)
    assert.equal(videoOf(`https://far.example/videos/watch/${uuid.toUpperCase()}?start=1`), uuid)
    assert.equal(videoOf(`/w/p/${uuid}`), null)
    assert.equal(uuidOf('1111111111111111111111'), '00000000-0000-0000-0000-000000000000')
    assert.equal(uuidOf('ZZZZZZZZZZZZZZZZZZZZZZ'), null, 'more than 128 bits')
    for (const no of ['', 'abc', '0OIl'.repeat(5), 'x'.repeat(500), '<script>']) assert.equal(uuidOf(no), null)
  })

  it('of what administrators type are understood or refused', async () => {
    const { parseChannel, parseHost, parseVideo } = await load('admin/entries.js')
    assert.equal(parseHost('Video.Example'), 'video.example')
    assert.equal(parseHost('video.example:9000'), 'video.example:9000')
    assert.equal(parseHost('https://video.example/a/b'), 'video.example')
    assert.equal(parseHost('bücher.example'), 'xn--bcher-kva.example')
    for (const no of ['a b', 'a/b', '-a.example', 'ftp://a.example', 'a..b', '', `${'a'.repeat(64)}.example`]) assert.equal(parseHost(no), null, no)

    assert.equal(parseChannel('news@video.example'), 'https://video.example/video-channels/news')
    assert.equal(parseChannel('https://video.example/c/news/videos'), 'https://video.example/video-channels/news')
    assert.equal(parseChannel('https://here.example/c/news@video.example'), 'https://video.example/video-channels/news')
    for (const no of ['news', 'https://video.example/a/news', 'javascript:alert(1)', 'news@a b']) assert.equal(parseChannel(no), null, no)

    const uuid = '0b6d7d0e-2f5a-4d0f-8f6c-1d2e3f4a5b6c'
    assert.equal(parseVideo(`https://video.example/w/${uuid}`), `https://video.example/videos/watch/${uuid}`)
    for (const no of [uuid, 'https://video.example/w/abc', 'https://video.example/', `javascript:/w/${uuid}`]) assert.equal(parseVideo(no), null, no)
  })
})

function gaps (sentence) {
  return [...sentence.matchAll(/\{\w+\}/g)].map(([gap]) => gap).sort()
}
