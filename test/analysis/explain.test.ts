import { describe, expect, it } from "vitest"
import { explain } from "../../src/analysis/explain.js"
import { judge } from "../../src/analysis/judge.js"
import { CRITERIA } from "../../src/model/verdict.js"
import { alike, denying, enforce, input, notify, serve, uniforms } from "./traffic.js"

describe("explain", () => {
  const stratum = serve({
    sessions: 1500,
    weightBp: 5000,
    random: uniforms(5),
    stable: denying,
    canary: (stable, _, random) => (random() < 0.1 ? "deny" : stable),
    shadow: true,
  })

  it("says what happened first, then each criterion with estimate, interval, limit and sizes", () => {
    const criteria = [
      enforce("error_rate_delta_max", 0.01),
      notify("deny_rate_delta_max"),
      enforce("newly_denied_rate_max"),
    ]
    const verdict = judge(input(criteria, [stratum], { weights: [5000], shadow: true, at: Date.UTC(2026, 0, 2) }))
    const lines = explain(verdict).split("\n")
    expect(lines[0]).toBe("BREACH of newly_denied_rate_max, judged 2026-01-02T00:00:00.000Z")
    expect(lines[1]).toMatch(
      /^newly_denied_rate_max: rate of newly denied calls of the canary is 9\.\d+ %, at least \d\.\d+ %; the limit is 2 %/,
    )
    const deny = lines.find((line) => line.includes("deny_rate_delta_max"))
    expect(deny).toMatch(
      /^breach +deny_rate_delta_max +\+9\.\d+ pp \(from \+[\d.]+ pp to \+[\d.]+ pp\), limit \+2 pp; [\d,]+ calls of 1,500 sessions/,
    )
    expect(deny).toContain("[notify only]")
    expect(lines.find((line) => line.includes("error_rate_delta_max"))).toMatch(
      /^pass .* 0 pp \(from -[\d.]+ pp to \+[\d.]+ pp\), limit \+1 pp/,
    )
    expect(lines.at(-1)).toContain("at most 5 %")
    const { canary, stable } = verdict.sessions
    expect(canary + stable).toBe(1500)
    expect(lines).toContain(`sessions: ${canary} canary, ${stable} stable, 1,500 judged by both`)
  })

  it("has one line for every criterion, each with its name", () => {
    const verdict = judge(
      input(
        CRITERIA.map((name) => enforce(name, 0.5)),
        [stratum],
        { weights: [5000], shadow: true },
      ),
    )
    const text = explain(verdict)
    for (const name of CRITERIA) expect(text.split("\n").filter((line) => line.includes(`  ${name} `))).toHaveLength(1)
    expect(text).toContain("scan_flag_rate_delta_max")
    expect(text).toMatch(/nothing of this kind has been seen/)
  })

  it("says when the split is not as planned", () => {
    const skewed = serve({ sessions: 2000, weightBp: 5000, random: uniforms(2), stable: denying, canary: alike })
    const text = explain(judge(input([enforce("deny_rate_delta_max")], [skewed], { weights: [1000] })))
    expect(text).toMatch(
      /split: NOT as the ramp says, the stable arm is short: [\d,]+ canary sessions where 200 were due/,
    )
  })
})
