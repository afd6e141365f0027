/**
 * What follows the number sign of the page's address. A browser sends that to nobody.
 *
 *   #token=TOKEN                                        opens the page
 *   #token=TOKEN&instance=NAME,PORT,TOKEN&instance=…    and offers the other daemons of this machine
 *   #token=TOKEN&tab=peers                              and shows a tab
 *
 * @typedef {{ name: string, port: string, token: string }} Instance
 * @typedef {{ token: string, instances: Instance[], tab: string }} Opening
 */

const TOKEN = /^[\w-]{16,200}$/
const PORT = /^[1-9]\d{0,4}$/
const MOST_INSTANCES = 32

/**
 * Read an address that opens the page.
 *
 * @param {string} hash from the number sign on
 * @returns {Opening | null} what it holds, `null` if it opens nothing (it may name a tab)
 */
export function parseOpening (hash) {
  const given = new URLSearchParams(hash.slice(1))
  const token = given.get('token') ?? ''
  if (!TOKEN.test(token)) return null
  return { token, instances: instancesIn(given.getAll('instance')), tab: given.get('tab') ?? '' }
}

/**
 * @param {string[]} given one text per instance
 * @returns {Instance[]} those that are usable
 */
export function instancesIn (given) {
  return given.slice(0, MOST_INSTANCES).flatMap(text => {
    const [name = '', port = '', token = '', ...rest] = text.split(',')
    return name !== '' && name.length <= 255 && PORT.test(port) && TOKEN.test(token) && rest.length === 0 ? [{ name, port, token }] : []
  })
}

/**
 * The page of another daemon of this machine: only the port is another, so that no token can go anywhere else.
 *
 * @param {{ protocol: string, hostname: string, pathname: string }} here where this page is
 * @param {Instance} wanted the daemon
 * @param {Instance[]} all to be offered there too
 * @param {string} tab to show there
 * @returns {string} its address
 */
export function addressOf (here, wanted, all, tab) {
  const fragment = new URLSearchParams({ token: wanted.token })
  for (const { name, port, token } of all) fragment.append('instance', [name, port, token].join(','))
  if (tab) fragment.set('tab', tab)
  return `${here.protocol}//${here.hostname}:${wanted.port}${here.pathname}#${fragment}`
}
