/** A daemon with a past, as a process: what it answers is what it answers. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

import { needsBrowser } from './browser.js'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const PYTHON = `${ROOT}.venv/bin/python`

/** Options of a test that needs the browser and a daemon. */
export const needsDaemon = {
  ...needsBrowser, skip: needsBrowser.skip || (existsSync(PYTHON) ? false : `no Python at ${PYTHON}`)
}

/**
 * Start one; call `stop` at the end.
 *
 * @param {string} [module] of the tests that makes and serves it
 *
 * @returns {Promise<{ at: Record<'url' | 'token' | 'secret' | 'host' | 'asking' | 'bad', string>, stop: () => Promise<void> }>}
 */
export async function startDaemon (module = 'tests.daemon.daemon_with_history') {
  const process = spawn(PYTHON, ['-m', module], { cwd: ROOT, stdio: ['pipe', 'pipe', 'inherit'] })
  const failed = once(process, 'exit').then(() => Promise.reject(new Error('the daemon did not start')))
  const [line] = await Promise.race([once(createInterface(process.stdout), 'line'), failed])
  failed.catch(() => {})
  const stop = async () => {
    process.stdin.end()
    if (process.exitCode === null) await once(process, 'exit')
  }
  return { at: JSON.parse(line), stop }
}
