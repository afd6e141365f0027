/** A daemon in a process of its own, so that it takes no time of the plugin's. Told over IPC how to behave. */
import { FakeDaemon } from '../host/daemon.js'

const daemon = await FakeDaemon.start()
let videos = []
const MODES = {
  well: () => { daemon.asked.length = 0; return daemon.suggests(videos).answers.get('/v1/related')() },
  hanging: () => new Promise(() => {}),
  slow: () => new Promise(resolve => setTimeout(resolve, 150, MODES.well())),
  nonsense: (_request, response) => { response.end('<html>no json</html>') },
  'answering 10 MB': (_request, response) => { response.end('x'.repeat(10e6)) }
}
process.on('message', message => {
  if (message.videos) videos = message.videos
  if (message.mode) daemon.on('/v1/related', MODES[message.mode])
  process.send('done')
})
process.send(daemon.url)
