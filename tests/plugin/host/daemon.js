/** A daemon's HTTP side on loopback that answers as a test tells it to, and remembers what it was asked. */
import { once } from 'node:events'
import { createServer } from 'node:http'

export class FakeDaemon {
  asked = []
  /** Which model serves; empty: none. */
  model = 'm1'
  /** path (without query) -> (request, response, body) => answer as JSON, or nothing when it wrote one itself */
  answers = new Map()

  static async start () {
    const daemon = new FakeDaemon()
    daemon.server = createServer((request, response) => {
      daemon.#handle(request, response).catch(() => response.destroy())
    })
    daemon.server.listen(0, '127.0.0.1')
    await once(daemon.server, 'listening')
    daemon.url = `http://127.0.0.1:${daemon.server.address().port}`
    return daemon
  }

  on (path, answer) {
    this.answers.set(path, answer)
    return this
  }

  /** Answer `related` with these videos, best first. */
  suggests (videos, reason = { kind: 'tags', text: 'Same tags', users: null, tags: ['sea'], words: [], share: 1, via: [1] }) {
    return this.on('/v1/related', () => ({ model: this.model, videos: videos.map(({ uuid, url }) => ({ uuid, url, reason })) }))
  }

  /** The questions about one path. */
  about (path) {
    return this.asked.filter(({ url }) => url.pathname === path)
  }

  async stop () {
    this.server.closeAllConnections()
    this.server.close()
    await once(this.server, 'close')
  }

  #ready = (_request, response) => {
    if (this.model) return { ready: true, model: this.model }
    response.writeHead(503).end('{}')
  }

  async #handle (request, response) {
    const url = new URL(request.url, this.url)
    const chunks = []
    for await (const chunk of request) chunks.push(chunk)
    const body = Buffer.concat(chunks)
    const asked = { method: request.method, url, headers: request.headers, body }
    this.asked.push(asked)
    response.once('close', () => { asked.left = !response.writableFinished })
    const answer = this.answers.get(url.pathname) ?? (url.pathname === '/health/ready' ? this.#ready : undefined)
    if (!answer) return response.writeHead(404, { 'content-type': 'application/json' }).end('{"error":"unknown"}')
    const content = await answer(request, response, body)
    if (content !== undefined) response.setHeader('content-type', 'application/json').end(JSON.stringify(content))
  }
}
