/** Registers and unregisters the plugin after using it, then has nothing left to do: the process must end. */
import { fixture, shown } from './fixture.js'

const world = await fixture()
const video = await world.seed.video(world.creator.channel)
world.daemon.on('/v1/related', () => new Promise(() => {}))
for (let round = 0; round < 3; round++) {
  await shown(world, video.uuid)
  await world.host.unload()
  await world.host.load()
}
await world.close()
