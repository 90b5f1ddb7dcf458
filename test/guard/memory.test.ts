import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { setImmediate as turn } from "node:timers/promises"
import { expect, it } from "vitest"
import { harness, stateWith } from "./harness.js"

setFlagsFromString("--expose-gc")
const collect = runInNewContext("gc") as () => void

async function isCollected(what: WeakRef<object>): Promise<boolean> {
  for (let i = 0; i < 10 && what.deref() !== undefined; i++) {
    await turn()
    collect()
  }
  return what.deref() === undefined
}

it("holds the evidence of no generation that is over for sessions that sleep, whatever they did in it", async () => {
  const { guard, state } = harness({ canary: () => "deny" })
  const sleeping = Array.from({ length: 40 }, (_, i) => guard.session(`session-${i}`))
  for (const session of sleeping) session.evaluate({ action: "refund" })
  guard.sessionless.evaluate({ action: "refund" })
  await guard.idle()
  const counted = guard.evidence().strata.map(({ cells }) => new WeakRef(cells))
  const [first, second] = [new WeakRef(guard.evidence()), stateWith({ generation: 2, salt: "another", revision: 2 })]
  expect(first.deref()?.strata).toHaveLength(2)
  state.set(second)
  expect(await Promise.all(counted.map(isCollected))).toEqual([true, true])
  expect(sleeping.every((session) => session.evaluate({ action: "refund" }).outcome !== undefined)).toBe(true)
  expect(guard.evidence().generation).toBe(2)
})
