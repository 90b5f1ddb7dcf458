import { describe, expect, it } from "vitest"
import type { DecisionLogEntry } from "../../src/model/decision-entry.js"
import { harness, idOn, release, stateWith } from "../guard/harness.js"
import { firstColumn, readPage } from "./pages.js"

describe("docs/reference/decision-log.md", () => {
  it("names every field of every entry", async () => {
    const entries: DecisionLogEntry[] = []
    const scanners = [{ name: "s", scan: () => ({ result: "flagged" as const, findings: [{ category: "pii" }] }) }]
    const { guard } = harness({}, stateWith(), {
      decisionLog: { write: (batch) => void entries.push(...batch) },
      releases: new Map(
        ["1.0.0", "2.0.0"].map((version) => [version, { ...release(version, () => "allow"), scanners }]),
      ),
    })
    const session = guard.session(idOn(guard, "canary"))
    session.evaluate({ action: "a" }, { callId: "1" })
    session.scan("text", { direction: "input" })
    await guard.idle()
    expect(entries.map(({ kind }) => kind).toSorted()).toEqual(["decision", "pair", "scan"])
    const documented = new Set(firstColumn(readPage("reference/decision-log.md")))
    expect(entries.flatMap((entry) => Object.keys(entry)).filter((name) => !documented.has(name))).toEqual([])
  })
})
