import type { Guard, Session } from "../../src/guard.js"
import type { Call } from "../../src/model/call.js"
import type { Policy, Release } from "../../src/release/ports.js"
import { harness, stateWith } from "../guard/harness.js"
import type { Harness } from "../guard/harness.js"

/** A guard whose arms have these policies, half of the sessions each, and one session of each arm. */
export function bothArms(stable: Policy, canary: Policy): Harness & Record<"stable" | "canary", Session<Call, "sync">> {
  const release = (version: string, policy: Policy): readonly [string, Release] => [version, { version, policy }]
  const made = harness({}, stateWith(), { releases: new Map([release("1.0.0", stable), release("2.0.0", canary)]) })
  return { ...made, stable: sessionOf(made.guard, "stable"), canary: sessionOf(made.guard, "canary") }
}

function sessionOf(guard: Guard, arm: "stable" | "canary"): Session<Call, "sync"> {
  const sessions = Array.from({ length: 64 }, (_, i) => guard.session(`session-${i}`))
  const found = sessions.find((session) => session.arm === arm)
  if (found === undefined) throw new Error(`no session of 64 is ${arm}'s`)
  return found
}
