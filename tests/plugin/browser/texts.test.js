/** What holds for the client's files and texts without a browser. */
import assert from 'node:assert/strict'
import { readFileSync, readdirSync, realpathSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, relative } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath, pathToFileURL } from 'node:url'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const PLUGIN = join(ROOT, 'peertube-plugin')
const PAGE = join(ROOT, 'daemon/admin_page')
const PACKAGE = JSON.parse(readFileSync(join(PLUGIN, 'package.json'), 'utf8'))
const filesIn = folder => readdirSync(folder, { recursive: true, withFileTypes: true })
  .filter(entry => entry.name.endsWith('.js')).map(entry => join(entry.parentPath, entry.name))
const frenchOf = folder => JSON.parse(readFileSync(join(folder, 'languages/fr.json'), 'utf8'))
const CLIENT = filesIn(join(PLUGIN, 'client'))
const SHARED = filesIn(join(PLUGIN, 'client/lib'))
const OF_PAGE = [...new Set([...filesIn(PAGE), ...SHARED].map(file => realpathSync(file)))]
const FRENCH = frenchOf(PLUGIN)
const CATALOGUE = join(ROOT, 'daemon/sentences')
const wordsOf = language => Object.assign({}, ...readdirSync(join(CATALOGUE, language))
  .filter(name => !['cli.json', 'lib.json', 'told.json'].includes(name))
  .map(name => JSON.parse(readFileSync(join(CATALOGUE, language, name), 'utf8'))))
const pythonIn = folder => readdirSync(join(ROOT, folder), { recursive: true })
  .filter(name => name.endsWith('.py')).map(name => join(ROOT, folder, name))

/** What is translated by its English words, by who shows it: modules, and the other files that say something. */
const PLACES = {
  plugin: { french: FRENCH, modules: CLIENT, others: filesIn(join(PLUGIN, 'server')) },
  'daemon\'s errors': {
    french: JSON.parse(readFileSync(join(CATALOGUE, 'fr/told.json'), 'utf8')),
    modules: [],
    others: ['daemon', 'federation', 'policies'].flatMap(pythonIn)
  }
}

globalThis.location ??= /** @type {any} */ (new URL('https://here.example/p/shoal'))
const load = path => import(pathToFileURL(join(PLUGIN, 'client', path)).href)
const loadPage = path => import(pathToFileURL(join(PAGE, path)).href)

describe('client files', () => {
  it('are all in package.json, since PeerTube serves no others', () => {
    assert.deepEqual(
      PACKAGE.clientScripts.map(({ script }) => script).sort(),
      CLIENT.map(file => relative(PLUGIN, file)).sort())
  })

  it('that plugin and page share are the same files', () => {
    assert.equal(realpathSync(join(PAGE, 'lib')), realpathSync(join(PLUGIN, 'client/lib')))
  })

  it('make no markup from text', () => {
    for (const file of [...CLIENT, ...OF_PAGE]) {
      const text = readFileSync(file, 'utf8')
      assert.doesNotMatch(text, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment/, file)
      assert.doesNotMatch(text, /DOMParser|srcdoc|markdownRenderer|showModal\(\{/, file)
    }
  })

  it('use only colours of the theme', () => {
    for (const file of ['peertube-plugin/assets/shoal.css', 'peertube-plugin/client/lib/controls.css', 'daemon/admin_page/page.css']) {
      const css = readFileSync(join(ROOT, file), 'utf8')
      const paint = /(?:color|background|border|outline)[\w-]*:([^;]+);/g
      const painted = [...css.matchAll(paint)].map(([, value]) => value)
      assert.ok(painted.length > 10, file)
      for (const value of painted) {
        const own = value.replaceAll(/var\([^)]*\)+/g, '').replace('rgb(0 0 0 / 60%)', '')
        assert.doesNotMatch(own, /#|rgb|hsl|white|black|red|green|blue|gr[ae]y/, `${file}: ${value}`)
      }
      const sides = /(?:margin|padding|border)-(?:left|right)|[^-](?:left|right):|align: (?:left|right)|float/
      assert.doesNotMatch(css, sides, file)
    }
  })
})

describe('texts', () => {
  for (const [name, { french, modules, others }] of Object.entries(PLACES)) {
    it(`of the ${name} are all in French, with the same gaps`, async () => {
      for (const file of modules) {
        const { SENTENCES = {} } = await import(pathToFileURL(file).href)
        for (const sentence of Object.values(SENTENCES)) {
          assert.ok(french[sentence], `no French for “${sentence}”`)
          assert.deepEqual(gaps(french[sentence]), gaps(sentence), sentence)
        }
      }
    })

    it(`of the ${name} are those that something says`, () => {
      const said = [...modules, ...others].map(file => readFileSync(file, 'utf8')).join('\n')
        .replace(/['"`] \+\s+['"`]/g, '').replace(/\\'/g, '\'')
        // In Python, literals beside each other are one.
        .replace(/(["'])\n\s*f?\1/g, '')
      for (const sentence of Object.keys(french)) {
        // Numbers are gaps in what the server says; a constant's value is one in its source.
        const parts = sentence.split(/\{(?:\d+|subject)\}|\b16\b/)
        // An error's message gets its beginning where it is raised, and its full stop on the page.
        assert.ok(parts.every(part => said.includes(part.trim().replace(/\.$/, ''))), `nothing says “${sentence}”`)
      }
    })
  }

  it('of the daemon\'s page are all said, and in French with the same gaps', () => {
    const [english, french] = [wordsOf('en'), wordsOf('fr')]
    const parts = readdirSync(join(CATALOGUE, 'en')).filter(name => name !== 'cli.json').map(name => name.replace('.json', ''))
    const loads = readFileSync(join(PAGE, 'languages.js'), 'utf8')
    for (const part of parts) assert.match(loads, new RegExp(`'${part}'`), `the page does not load ${part}.json`)
    assert.deepEqual(Object.keys(french).sort(), Object.keys(english).sort())
    const said = [...OF_PAGE, ...pythonIn('daemon'), ...pythonIn('policies')].map(file => readFileSync(file, 'utf8')).join('\n')
    for (const [name, template] of Object.entries(english)) {
      assert.deepEqual(gaps(forms(french[name])), gaps(forms(template)), name)
      // Names that are put together have a constant beginning: mode_off, tab_peers.
      // Some are put together: mode_off, kind_peer-added, letInTitle.
      const parts = [`${name.split('_')[0]}_\${`, `}${/[A-Z][a-z]+$/.exec(name)?.[0]}\``]
      assert.ok(said.includes(name) || parts.some(part => said.includes(part)), `nothing says “${name}”`)
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
    const settings = { values: { secret: 'a secret of the tests' }, onChange: () => {} }
    const config = { getWebserverUrl: () => 'https://video.example', getServerListeningConfig: () => ({ hostname: null, port: 9000 }) }
    declare(setting => declared.push(setting), settings, config)
    // A code is a code in every language.
    const worded = declared.filter(({ name }) => name !== 'pairing-code')
    const texts = worded.flatMap(({ label, html, descriptionHTML, options = [] }) => (
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
    const { parseChannel, parseHost, parseVideo } = await loadPage('tabs/entries.js')
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

/** @param {string | { one: string, other: string }} template */
function forms (template) {
  return typeof template === 'string' ? template : Object.values(template).join(' ')
}

/** @param {string} sentence */
function gaps (sentence) {
  return [...new Set(sentence.match(/\{\w+(?::\w+)?\}/g))].sort()
}
