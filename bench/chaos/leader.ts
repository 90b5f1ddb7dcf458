// One of those that may lead: it judges what all agents publish, and serves nobody.
import { sharedSource } from "../../src/sources/fleet.js"
import { createLeader } from "../../src/controller/leader.js"
import { createWritingFollower } from "../../src/controller/writing-follower.js"
import { redisStore } from "../../src/stores/redis.js"
import { evaluationsOf } from "./evaluations.js"
import { LEAD_EVERY_MS, lineWriter } from "./event.js"
import { ROLLOUT } from "./fleet.js"
import type { Order, Part } from "./program.js"
import { commonMs, scaledClock } from "./scaled-clock.js"

const part = JSON.parse(process.argv[2] ?? "") as Part
const write = lineWriter(part.lines)
const clock = scaledClock(part.speed, part.origin)
const store = redisStore({ url: `redis://127.0.0.1:${part.port}` })
write({ is: "born", life: part.life })

const follower = await createWritingFollower({ store, rollout: ROLLOUT, clock })
const source = sharedSource({ store, rollout: ROLLOUT, clock })
const leader = createLeader({
  store,
  rollout: ROLLOUT,
  follower,
  source,
  clock,
  actor: { kind: "controller", id: `${part.name}-${part.life}` },
  diffs: source.diffs,
  processes: source.processes,
})

setInterval(() => {
  // Before it is asked: whatever keeps this process from going on in between, it led then if it leads now.
  const t = commonMs()
  const epoch = leader.leading()
  if (epoch !== null) write({ is: "leads", epoch }, t)
}, LEAD_EVERY_MS)
process.on("message", (order: Order) => {
  if (order.is === "jump") clock.jump(order.ms)
  if (order.is === "end") void end()
})
process.on("disconnect", () => process.exit(0))

async function end(): Promise<void> {
  // What agents published as they ended is in the last look.
  const { generation = 0, salt: draw = "" } = follower.current() ?? {}
  const evidence = await source.read({ generation, salt: draw }).catch(() => null)
  if (evidence !== null) write({ is: "merged", draw, evaluations: evaluationsOf(evidence) })
  await leader.close()
  follower.close()
  await store.close()
  process.disconnect()
}
