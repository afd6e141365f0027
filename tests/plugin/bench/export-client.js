/** Pages through the whole export from a process of its own, as the daemon does, and reports over IPC. */
const [, , base, secret, limit] = process.argv
const headers = { 'x-shoal-secret': secret }

async function all (path) {
  const began = performance.now()
  const pages = []
  let [after, rows, bytes] = [0, 0, 0]
  while (after !== null) {
    const start = performance.now()
    const response = await fetch(`${base}export/v1/${path}${path.includes('?') ? '&' : '?'}limit=${limit}&after=${after}`, { headers })
    const text = await response.text()
    pages.push(performance.now() - start)
    if (!response.ok) throw new Error(`${response.status} ${text}`)
    const { items, next } = JSON.parse(text)
    rows += items.length
    bytes += text.length
    after = next
  }
  return { pages, rows, bytes, total: performance.now() - began }
}

const status = await (await fetch(`${base}export/v1/status`, { headers })).json()
const { rates, history } = status.marks
for (const [name, path] of [['catalogue', 'videos'], ['history', `engagements?kind=history&upto=${history}`],
  ['rates', `engagements?kind=rates&upto=${rates}`], ['participants', `participants?rates=${rates}&history=${history}`]]) {
  process.send({ begin: name })
  process.send({ name, ...await all(path) })
}
process.disconnect()
