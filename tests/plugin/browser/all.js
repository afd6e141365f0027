/** The tests of this folder in one process, so that what they share is started once. */
import { readdirSync } from 'node:fs'

const files = readdirSync(new URL('.', import.meta.url)).filter(name => name.endsWith('.test.js'))
for (const name of files.sort()) await import(`./${name}`)
