// One process of the fleet: sessions come and go, each call is decided, and every decision is written down with the revision in force.
import { join } from "node:path"
import { sfc32 } from "serin/testing"
import { connect } from "../../src/connect.js"
import { createPublisher } from "../../src/controller/publisher.js"
import { storeSink } from "../../src/sources/store-sink.js"
import { redisStore } from "../../src/stores/redis.js"
import { evaluationsOf } from "./evaluations.js"
import { FORGOT, lineWriter } from "./event.js"
import { RELEASES, ROLLOUT, STABLE } from "./fleet.js"
import { hostileStore } from "./hostile-store.js"
import { watchLease } from "./lease-watch.js"
import type { Order, Part } from "./program.js"
import { scaledClock } from "./scaled-clock.js"

const DECIDE_EVERY_MS = 100
const SESSIONS = 4
const LONGEST = 15

const part = JSON.parse(process.argv[2] ?? "") as Part
const write = lineWriter(part.lines)
const clock = scaledClock(part.speed, part.origin)
const random = sfc32(part.seed * 100 + part.life)
const redis = redisStore({ url: `redis://127.0.0.1:${part.port}` })
const hostile = hostileStore(redis, random)
write({ is: "born", life: part.life })

const guard = await connect({
  rollout: ROLLOUT,
  store: hostile.store,
  releases: RELEASES,
  bootstrap: STABLE,
  lastKnownGood: join(part.dir, "state.json"),
  clock,
})

if (guard.status().follower.lastKnownGood?.problem !== undefined) write({ is: "problem", code: FORGOT })
const leaderless = watchLease(guard)
const drawOf = (): string => guard.status().state?.salt ?? ""
let counted = { draw: "", evaluations: 0 }
const sink = storeSink(redis)
const publisher = createPublisher({
  rollout: ROLLOUT,
  publisher: `${part.name}-${part.life}`,
  sink: {
    async put(key, text, options) {
      const said = counted
      await sink.put(key, text, options)
      write({ is: "published", life: part.life, ...said })
    },
  },
  clock,
  // Of the machine's time: what it does late where twenty processes share it is no finding.
  deadlineMs: 2000 * part.speed,
  evidence() {
    const evidence = guard.evidence()
    counted = { draw: drawOf(), evaluations: evaluationsOf(evidence) }
    write({ is: "counted", ...counted })
    return evidence
  },
  diffs: () => guard.diffs(),
  fuse: () => null,
  ready: () => true,
})

let opened = 0
let current: unknown
let problem: string | undefined
const sessions = Array.from({ length: SESSIONS }, open)

/** A session belongs to this process and to this life of it. */
function open(): { readonly id: string; readonly startedAt: number; left: number } {
  return {
    id: `${part.name}-${part.life}-${opened++}`,
    startedAt: clock.now(),
    left: 1 + Math.floor(random() * LONGEST),
  }
}

function decide(): void {
  for (const [i, session] of sessions.entries()) {
    const { state, phase, follower } = guard.status()
    const { revision = -1, salt: draw = "" } = state ?? {}
    if (state !== null && state !== current) {
      const refused = state.last.reason.includes("which was refused")
      write({ is: "state", revision, draw, kill: state.kill, phase: phase?.phase ?? "none", refused })
    }
    current = state
    if (follower.problem?.code !== problem) {
      problem = follower.problem?.code
      write({ is: "problem", code: problem ?? "none" })
    }
    const { arm, source } = guard.session(session.id, { startedAt: session.startedAt }).evaluate({ action: "refund" })
    write({ is: "decision", session: session.id, arm, source, revision, draw, leaderless: leaderless() })
    if (--session.left === 0) sessions[i] = open()
  }
}

const timer = setInterval(decide, DECIDE_EVERY_MS)
process.on("message", (order: Order) => {
  if (order.is === "jump") clock.jump(order.ms)
  if (order.is === "reads") hostile.reads(order.what)
  if (order.is === "end") void end()
})
process.on("disconnect", () => process.exit(0))

async function end(): Promise<void> {
  clearInterval(timer)
  // What is under way was counted before the last decisions.
  await publisher.publish()
  // One try may be lost, as on a machine that is too busy for its deadline; what is counted here needs the last one.
  for (let tries = 0; tries < 20; tries++) {
    await publisher.publish()
    if (publisher.status().problem === undefined) break
  }
  await publisher.close()
  await guard.close()
  await redis.close()
  process.disconnect()
}
