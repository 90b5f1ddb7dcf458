import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { isSerinError, type Problem } from "../../src/errors.js"
import { parseSpec } from "../../src/rollout/spec.js"
import { runs } from "../runs.js"

const SEED = `rollout: refund-agent
stable: 1.4.0
canary:
  release: 1.5.0
  traffic_percentage: 5
  observation_period: "4h"
  acceptance_criteria:
    error_rate_delta_max: 0.01
    latency_p99_delta_max: "50ms"
    deny_rate_delta_max: 0.02
  on_failure: "rollback"
`

const read = (text: string) => parseSpec(text, { path: "rollout.yaml" })

/** A spec with these lines inside `canary`; the keys of the smallest spec come first. */
const withCanary = (...lines: string[]) =>
  `rollout: r\nstable: 1.4.0\ncanary:\n  release: 1.5.0\n${lines.map((line) => `  ${line}\n`).join("")}`
const CRITERIA = "acceptance_criteria: { error_rate_delta_max: 0.01 }"
const readCanary = (...lines: string[]) => read(withCanary(CRITERIA, ...lines))

function problemsOf(text: string): readonly Problem[] {
  try {
    read(text)
  } catch (error) {
    if (isSerinError(error) && error.code === "SPEC_INVALID") return error.problems
    throw error
  }
  throw new Error("the spec was accepted")
}
const linesOf = (text: string) =>
  problemsOf(text).map(({ where, message, fix }) => `${where} ${message} | ${fix ?? "-"}`)
const canaryProblems = (...lines: string[]) => linesOf(withCanary(CRITERIA, ...lines))

describe("the block that teams already write", () => {
  it("parses as it is, with every default filled in", () => {
    const stage = (weightBp: number, periodMs: number) => ({ weightBp, periodMs, approval: false })
    expect(read(SEED)).toEqual({
      rollout: "refund-agent",
      stable: "1.4.0",
      canary: "1.5.0",
      stages: [
        stage(0, 600_000),
        stage(500, 14_400_000),
        stage(2500, 14_400_000),
        stage(5000, 14_400_000),
        stage(10_000, 14_400_000),
      ],
      shadowSampleBp: 10_000,
      criteria: [
        { name: "error_rate_delta_max", max: 0.01, mode: "enforce" },
        { name: "latency_p99_delta_max", max: 50, mode: "enforce" },
        { name: "deny_rate_delta_max", max: 0.02, mode: "enforce" },
      ],
      onFailure: "rollback",
      onInconclusive: "hold",
      onNoData: "hold",
      minSessions: 50,
      maxStageMs: null,
      falseAlarmRate: 0.05,
      activationDelayMs: 10_000,
      intent: null,
      eligible: null,
      maxSessions: null,
    })
  })

  it("means the same with Windows line ends and a byte order mark", () => {
    expect(read(`\uFEFF${SEED.replaceAll("\n", "\r\n")}`)).toEqual(read(SEED))
  })
})

describe("every key", () => {
  it("is read", () => {
    const spec = read(
      withCanary(
        "stages:",
        "  - { percentage: 0.5, eligible: { tier: internal, paying: true, level: 3 } }",
        "  - { percentage: 10, period: 2h, max_duration: 3h, approval: true }",
        "  - { percentage: 100, period: 1d }",
        "pins: { stable: { account: [bigcorp, 7] }, canary: [nightly, 0017] }",
        "traffic_percentage: 0.5",
        "observation_period: 30m",
        "shadow: { period: 20m, max_duration: 1d, sample: 12.5, approval: true }",
        "min_sessions: 200",
        "max_stage_duration: 2d",
        "false_alarm_rate: 0.01",
        "on_failure: hold",
        "on_inconclusive: extend",
        "on_no_data: rollback",
        "activation_delay: 0s",
        "intent: refactor",
        "max_sessions: 500",
        "eligible: { tier: [internal, beta], paying: true, level: 3 }",
        "acceptance_criteria:",
        "  newly_allowed_rate_max: 0",
        "  scan_latency_p99_delta_max: { max: 0.5ms, mode: notify }",
        "  error_rate_max: { max: 1 }",
      ),
    )
    expect(spec).toEqual({
      rollout: "r",
      stable: "1.4.0",
      canary: "1.5.0",
      stages: [
        { weightBp: 0, periodMs: 1_200_000, maxMs: 86_400_000, approval: true },
        {
          weightBp: 50,
          periodMs: 1_800_000,
          approval: false,
          eligible: { tier: ["internal"], paying: [true], level: [3] },
        },
        { weightBp: 1000, periodMs: 7_200_000, maxMs: 10_800_000, approval: true },
        { weightBp: 10_000, periodMs: 86_400_000, approval: false },
      ],
      shadowSampleBp: 1250,
      criteria: [
        { name: "newly_allowed_rate_max", max: 0, mode: "enforce" },
        { name: "scan_latency_p99_delta_max", max: 0.5, mode: "notify" },
        { name: "error_rate_max", max: 1, mode: "enforce" },
      ],
      onFailure: "hold",
      onInconclusive: "extend",
      onNoData: "rollback",
      minSessions: 200,
      maxStageMs: 172_800_000,
      falseAlarmRate: 0.01,
      activationDelayMs: 0,
      intent: "refactor",
      eligible: { tier: ["internal", "beta"], paying: [true], level: [3] },
      pins: {
        stable: { sessions: [], attributes: { account: ["bigcorp", 7] } },
        canary: { sessions: ["nightly", "0017"], attributes: null },
      },
      maxSessions: 500,
    })
  })
})

describe("stages", () => {
  const weights = (...lines: string[]) => readCanary(...lines).stages.map((stage) => stage.weightBp)

  it.each([
    [undefined, [0, 500, 2500, 5000, 10_000]],
    [1, [0, 100, 500, 2500, 5000, 10_000]],
    [30, [0, 3000, 5000, 10_000]],
    [0.07, [0, 7, 500, 2500, 5000, 10_000]],
    [100, [0, 10_000]],
  ])("default to the ladder above traffic_percentage %s", (percentage, expected) => {
    expect(weights(...(percentage === undefined ? [] : [`traffic_percentage: ${percentage}`]))).toEqual(expected)
  })

  it("turn every multiple of 0.01 percent into the exact number of basis points", () => {
    for (let bp = 1; bp < 10_000; bp += 30) {
      const expected = Array.from({ length: 30 }, (_, i) => bp + i).filter((bp) => bp < 10_000)
      const written = expected.map((bp) => (bp / 100).toFixed(2))
      expect(weights(`stages: [${written.join(", ")}, 100]`)).toEqual([0, ...expected, 10_000])
    }
  })

  it("take shadow: false as neither a shadow stage nor shadowed sessions", () => {
    expect(readCanary("shadow: false")).toMatchObject({ stages: [{ weightBp: 500 }, {}, {}, {}], shadowSampleBp: 0 })
  })

  it("take shadow: true as the default", () => {
    expect(readCanary("shadow: true")).toEqual(readCanary())
  })

  it("bake for bake_period, else for observation_period, else an hour", () => {
    const baked = (...lines: string[]) => readCanary(...lines).stages.at(-1)?.periodMs
    expect(baked()).toBe(3_600_000)
    expect(baked("observation_period: 2h")).toBe(7_200_000)
    expect(baked("observation_period: 2h", "bake_period: 0s")).toBe(0)
  })

  it.each([
    [
      "stages: [5, 25]",
      "5:11 `canary.stages` must end at 100: a rollout that never gets there is never done | write 100",
    ],
    ["stages: []", "5:11 `canary.stages` must end at 100"],
    ["stages: [5, 5, 100]", "5:15 `canary.stages[1]` must be above the stage before it, 5, got 5"],
    ["stages: [25, 5, 100]", "5:16 `canary.stages[1]` must be above the stage before it, 25, got 5"],
    ["stages: [0, 100]", "5:12 `canary.stages[0]` must be above 0 | the stage at 0 percent is `shadow`"],
    ["stages: [5, 101]", "5:15 `canary.stages[1]` must be from 0.01 to 100 percent, got 101"],
    ["stages: [-5, 100]", "5:12 `canary.stages[0]` must be from 0.01 to 100 percent, got -5"],
    ["stages: [5.001, 100]", "must be a multiple of 0.01 percent, got 5.001 | write 5"],
    ["stages: [.nan, 100]", "must be from 0.01 to 100 percent, got .nan"],
    ["stages: [5%, 100]", "must be a number in percent, got 5% | write 5"],
    ["stages: 5", "must be a list, got 5"],
    ["stages: [[5], 100]", "must be a number in percent, got [5]"],
    ["stages: [{ period: 1h }, 100]", "`canary.stages[0]` has no `percentage`"],
    ["stages: [{ percentage: 5, approval: yes }, 100]", "approval` must be true or false, got yes"],
    [`stages: [${Array.from({ length: 33 }, (_, i) => i + 1).join(", ")}]`, "must be at most 32 stages, got 33"],
    ["traffic_percentage: 0", "must be from 0.01 to 100 percent, got 0"],
    ["shadow: off", "must be true, false or a map of period, sample and approval"],
    ["shadow: { sample: 0 }", "`canary.shadow.sample` must be from 0.01 to 100 percent, got 0"],
    ["max_stage_duration: 30m", "is shorter than the longest period of a stage, 1h"],
  ])("refuse %s", (line, expected) => {
    const problems = canaryProblems(line)
    expect(problems).toHaveLength(1)
    expect(problems[0]).toContain(expected.replace(/^5:/, "6:"))
  })

  it("refuse a traffic_percentage that is not the first of them", () => {
    expect(canaryProblems("traffic_percentage: 10", "stages: [5, 100]")).toEqual([
      "rollout.yaml:6:3 `canary.traffic_percentage` is 10 and the first of `stages` is 5 | write traffic_percentage: 5, or leave one of the two out",
    ])
  })

  it("refuse a bake_period that contradicts the period of the stage at 100", () => {
    expect(canaryProblems("bake_period: 1h", "stages: [{ percentage: 100, period: 2h }]")).toEqual([
      "rollout.yaml:6:3 `canary.bake_period` and the period of the stage at 100 differ | write one of the two",
    ])
  })
})

describe("criteria", () => {
  it.each([
    ["error_rate_delta_max: 1.5", "for 1.5 % write 0.015"],
    ["error_rate_delta_max: 2%", "for 2 % write 0.02"],
    ["error_rate_delta_max: -0.1", "must be a rate from 0 to 1, got -0.1"],
    ["error_rate_delta_max: .inf", "must be a rate from 0 to 1, got .inf"],
    ["error_rate_delta_max: 0", "must be above 0"],
    ['error_rate_delta_max: "0.1"', "must be a rate from 0 to 1, got 0.1"],
    ["latency_p99_delta_max: 50", 'has no unit: 50 | write "50ms"'],
    ["latency_p99_delta_max: 0ms", "must be longer than 0"],
    ["latency_p99_delta_max: { mode: notify }", "has no `max`"],
    ["error_rate_delta_max: { max: 0.1, mode: warn }", "must be enforce or notify, got warn"],
    ["error_rate_delta_max: { max: 0.1, min: 0.2 }", "unknown key `min`"],
    ["deny_rate_max: 0.1", "unknown key `deny_rate_max`"],
    ["denny_rate_delta_max: 0.1", "did you mean `deny_rate_delta_max`?"],
  ])("refuse %s", (line, expected) => {
    expect(linesOf(withCanary(`acceptance_criteria: { alert_rate_delta_max: 0.1, ${line} }`)).join()).toContain(
      expected,
    )
  })

  it.each(["acceptance_criteria: {}", "acceptance_criteria: { error_rate_max: { max: 0.1, mode: notify } }"])(
    "refuse %s, under which nothing stops a bad canary",
    (line) => {
      expect(linesOf(withCanary(line))[0]).toContain("must enforce at least one criterion")
    },
  )
})

describe("a rollout that could never advance", () => {
  const PAIRED = ["newly_denied_rate_max", "newly_allowed_rate_max"]
  const noShadow = (...lines: string[]) => withCanary("shadow: false", ...lines)
  const criteria = (...lines: string[]) => `acceptance_criteria: { ${lines.join(", ")} }`

  it.each(PAIRED)("is refused: %s is enforced and no call is judged by both releases", (name) => {
    for (const limit of ["0.01", "0", "{ max: 0.01 }"]) {
      expect(linesOf(noShadow("acceptance_criteria:", "  error_rate_max: 0.1", `  ${name}: ${limit}`))).toEqual([
        `rollout.yaml:8:5 \`canary.acceptance_criteria.${name}\` would never pass: it is known from calls that both releases judge, and \`shadow: false\` has none | remove shadow: false, write mode: notify, or leave it out`,
      ])
    }
  })

  it.each(PAIRED)("is not one that is only told of %s, nor one with a shadow", (name) => {
    const notified = criteria("error_rate_max: 0.1", `${name}: { max: 0.01, mode: notify }`)
    expect(read(noShadow(notified)).shadowSampleBp).toBe(0)
    const shadow = "shadow: { sample: 0.01 }"
    expect(read(withCanary(shadow, criteria(`${name}: 0.01`))).criteria).toHaveLength(1)
  })

  it.each(["tighten", "refactor"])("is refused when the budget comes from intent: %s", (intent) => {
    expect(linesOf(noShadow(CRITERIA, `intent: ${intent}`))).toEqual([
      `rollout.yaml:7:3 \`canary.intent\` ${intent} needs shadow: it adds newly_allowed_rate_max, which is known from calls that both releases judge | remove shadow: false, or intent`,
    ])
    const notified = criteria("error_rate_max: 0.1", "newly_allowed_rate_max: { max: 0.01, mode: notify }")
    expect(read(noShadow(notified, `intent: ${intent}`)).intent).toBe(intent)
  })

  it.each(["deny_rate_delta_max: 0.1", "latency_p99_delta_max: 5ms"])(
    "is refused: no stage has both releases to compare for %s",
    (criterion) => {
      const [problem, ...others] = linesOf(noShadow(criteria(criterion), "stages: [100]"))
      expect(others).toEqual([])
      expect(problem).toContain("would never pass: it compares with stable, and with `shadow: false` no stage has both")
      expect(read(noShadow(criteria(criterion))).stages).toHaveLength(4)
      expect(read(withCanary(criteria(criterion), "stages: [100]")).stages).toHaveLength(2)
    },
  )

  it("is not one that is held to an absolute limit alone", () => {
    expect(read(noShadow(criteria("error_rate_max: 0.1"), "stages: [100]")).stages).toHaveLength(1)
  })

  it.each([
    [["max_sessions: 49"], 50],
    [["max_sessions: 1", "min_sessions: 2"], 2],
  ])("is refused: the canary may have fewer sessions than a stage asks for, %j", (lines, least) => {
    expect(canaryProblems(...lines)).toEqual([
      `rollout.yaml:6:3 \`canary.max_sessions\` is below min_sessions, ${least}: no stage below 100 would ever be left | write max_sessions: ${least} or more, or a smaller min_sessions`,
    ])
  })

  it("is not one with as many sessions as a stage asks for, nor one whose cap ends before it counts", () => {
    expect(readCanary("max_sessions: 50").maxSessions).toBe(50)
    expect(readCanary("max_sessions: 1", "stages: [100]").maxSessions).toBe(1)
  })

  it("is not one that enforces alerts beside a shadow stage, but one where 100 is the only stage that serves", () => {
    const alerts = criteria("alert_rate_delta_max: 0.1")
    expect(read(withCanary(alerts)).stages[0]?.weightBp).toBe(0)
    for (const shadow of ["shadow: true", "shadow: false"]) {
      const [problem, ...others] = linesOf(withCanary(shadow, alerts, "stages: [100]"))
      expect(others).toEqual([])
      expect(problem).toContain("it compares sessions that stable and the canary serve, and no stage has both")
    }
  })

  it.each(["scan_flag_rate_delta_max: 0.1", "scan_latency_p99_delta_max: 5ms"])(
    "is one that enforces %s without a shadow where 100 is the only stage that serves: texts are scanned by both in shadow",
    (criterion) => {
      expect(read(withCanary("shadow: true", criteria(criterion), "stages: [100]")).criteria).toHaveLength(1)
      const [problem] = linesOf(withCanary("shadow: false", criteria(criterion), "stages: [100]"))
      expect(problem).toContain("with `shadow: false` no stage has both releases")
    },
  )
})

describe("eligible, pins and max_sessions", () => {
  it.each([
    ["eligible: {}", "names no attribute"],
    ["eligible: internal", "must be a map of keys"],
    ["eligible: { tier: [] }", "must have from 1 to 256 values"],
    ["eligible: { tier: { is: internal } }", "must be a list"],
    ["eligible: { tier: [[internal]] }", "must be text, a number, true or false"],
    ["eligible: { tier: .nan }", "must be text, a number, true or false"],
    ["eligible: { tier: }", "has no value"],
    ["eligible: { __proto__: [x] }", "is no name for an attribute"],
    [`eligible: { ${Array.from({ length: 17 }, (_, i) => `a${i}: 1`).join(", ")} }`, "at most 16 attributes"],
    ["stages: [{ percentage: 5, eligible: {} }, 100]", "`canary.stages[0].eligible` names no attribute"],
    ["pins: {}", "`canary.pins` pins nobody"],
    ["pins: [a]", "must be a map of keys"],
    ["pins: { cannary: [a] }", "unknown key `cannary` in `canary.pins` | did you mean `canary`?"],
    ["pins: { canary: a }", "must be a list of session ids or a map of attributes, got a | write [a], or a map"],
    ["pins: { canary: [] }", "must have from 1 to 256 session ids"],
    [`pins: { canary: [${"a, ".repeat(256)}a] }`, "must have from 1 to 256 session ids"],
    ["pins: { canary: [true] }", "must be the id of a session, 1 to 256 characters, got true"],
    ['pins: { canary: [""] }', "must be the id of a session, 1 to 256 characters"],
    [`pins: { canary: [${"a".repeat(257)}] }`, "must be the id of a session, 1 to 256 characters"],
    ["pins: { stable: { account: {} } }", "must be a list"],
    ["max_sessions: 0", "must be a whole number from 1 on"],
    ["max_sessions: 1.5", "must be a whole number from 1 on"],
  ])("refuse %s", (line, expected) => {
    expect(canaryProblems(line).join()).toContain(expected)
  })
})

describe("an eligible of a stage", () => {
  const stage = (share: number, eligible?: string) =>
    `  - { percentage: ${share}${eligible === undefined ? "" : `, eligible: { ${eligible} }`} }`
  const ramp = (...lines: string[]) => ["stages:", ...lines]
  const shut = (share: number) =>
    `the stage at ${share} shuts out sessions that the stage before it takes in | give it an \`eligible\` that has them all, or leave out the \`eligible\` around it`

  it.each([
    ["to everybody", ramp(stage(5, "tier: a"), stage(100))],
    ["to more values", ramp(stage(5, "tier: a"), stage(25, "tier: [b, a]"), stage(100))],
    ["to fewer conditions", ramp(stage(5, "tier: a, paying: true"), stage(25, "paying: true"), stage(100))],
    ["up to the eligible around it", ["eligible: { tier: [a, b] }", ...ramp(stage(5, "tier: b"), stage(100))]],
    [
      "from a shadow of fewer",
      ["eligible: { tier: a }", ...ramp(stage(5, "tier: [a, b]"), stage(100, "tier: [a, b]"))],
    ],
  ])("may widen %s", (_, lines) => {
    expect(readCanary(...lines).stages.length).toBeGreaterThan(1)
  })

  it.each([
    ["fewer values", 25, ramp(stage(5, "tier: [a, b]"), stage(25, "tier: a"), stage(100))],
    ["other values", 25, ramp(stage(5, "tier: a"), stage(25, "tier: b"), stage(100))],
    ["more conditions", 100, ramp(stage(5, "tier: a"), stage(100, "tier: a, paying: true"))],
    ["a condition after none", 100, ramp(stage(5), stage(100, "tier: a"))],
    ["a number for a text", 100, ramp(stage(5, "level: 3"), stage(100, 'level: "3"'))],
    ["the eligible around it", 100, ["eligible: { tier: a }", ...ramp(stage(5, "tier: [a, b]"), stage(100))]],
  ])("may not narrow to %s", (_, share, lines) => {
    expect(canaryProblems(...lines).join()).toContain(shut(share as number))
  })
})

describe("max_duration", () => {
  it("is refused below the period of its stage", () => {
    expect(canaryProblems("stages: [{ percentage: 5, period: 2h, max_duration: 1h }, 100]").join()).toContain(
      "`canary.stages` max_duration of the stage at 5 is shorter than its period, 2h",
    )
    expect(canaryProblems("shadow: { max_duration: 1m }").join()).toContain(
      "`canary.shadow` max_duration is shorter than its period, 10m",
    )
  })

  it("excuses its stage from max_stage_duration", () => {
    const long = "stages: [{ percentage: 5, period: 2d, max_duration: 3d }, 100]"
    expect(readCanary(long, "max_stage_duration: 1d").maxStageMs).toBe(86_400_000)
  })
})

describe("intent", () => {
  const BUDGET = { name: "newly_allowed_rate_max", max: 0.001, mode: "enforce" }

  it.each(["tighten", "refactor"])("%s adds a budget near zero for what is newly allowed", (intent) => {
    expect(readCanary(`intent: ${intent}`).criteria).toEqual([expect.anything(), BUDGET])
  })

  it("keeps the budget that is named", () => {
    const spec = read(withCanary("intent: tighten", "acceptance_criteria: { newly_allowed_rate_max: 0.5 }"))
    expect(spec.criteria).toEqual([{ ...BUDGET, max: 0.5 }])
  })

  it("loosen says its budget, proves itself in shadow and is approved", () => {
    const allowed = "acceptance_criteria: { newly_allowed_rate_max: 0.05 }"
    const stages = "stages: [{ percentage: 5, approval: true }, 100]"
    expect(read(withCanary("intent: loosen", allowed, stages)).intent).toBe("loosen")
    expect(read(withCanary("intent: loosen", allowed, "shadow: { approval: true }")).intent).toBe("loosen")
    expect(canaryProblems("intent: loosen", "shadow: false").map((line) => line.split(" | ")[0])).toEqual([
      "rollout.yaml:6:3 `canary.intent` loosen must say how much it newly allows, and be held to it",
      "rollout.yaml:6:3 `canary.intent` loosen must prove itself in shadow before it serves a session",
      "rollout.yaml:6:3 `canary.intent` loosen must be approved by a human before it grows beyond its first sessions",
    ])
    const late = "stages: [5, { percentage: 25, approval: true }, 100]"
    expect(linesOf(withCanary("intent: loosen", allowed, late))).toHaveLength(1)
    const notified = "acceptance_criteria: { newly_allowed_rate_max: { max: 0.05, mode: notify }, error_rate_max: 0.1 }"
    expect(linesOf(withCanary("intent: loosen", notified, stages))).toHaveLength(1)
  })
})

describe("names", () => {
  it("are taken as they are written: 1.10 is not 1.1", () => {
    const spec = read(withCanary(CRITERIA).replace("1.4.0", "1.10").replace("1.5.0", "1.1"))
    expect(spec).toMatchObject({ stable: "1.10", canary: "1.1" })
  })

  it.each(["../evil", "a/b", "..", ".hidden", "-x", "", "a b", "x\u0000", "é", "a".repeat(129)])(
    "never leave their folder: version %j",
    (version) => {
      const text = withCanary(CRITERIA).replace("1.5.0", JSON.stringify(version))
      expect(linesOf(text)).toEqual([expect.stringContaining("4:12 `canary.release` must be up to 128 of")])
    },
  )

  it.each(["Refund", "_x", "a/b", "a b", "a".repeat(64)])("keep to the rule: rollout %j", (name) => {
    expect(linesOf(withCanary(CRITERIA).replace("rollout: r", `rollout: ${JSON.stringify(name)}`))).toEqual([
      expect.stringContaining("1:10 `rollout` must be up to 63 of"),
    ])
  })

  it("differ between stable and canary", () => {
    expect(linesOf(withCanary(CRITERIA).replace("1.5.0", "1.4.0"))).toEqual([
      "rollout.yaml:4:3 `canary.release` is the stable version itself, 1.4.0 | -",
    ])
  })
})

describe("problems", () => {
  it("are all reported at once, top down, each with its line and column", () => {
    const text = `rolout: refund-agent
stable: [1]
on_failure: hold
canary:
  release: ~
  trafficPercentage: 5
  observation_period: 4
  error_rate_delta_max: 0.01
  acceptance_criteria:
    eror_rate_delta_max: 0.01
    latency_p99_delta_max: 50
  on_failure: panic
`
    expect(linesOf(text)).toEqual([
      "rollout.yaml:1:1 unknown key `rolout` | did you mean `rollout`?",
      "rollout.yaml:1:1 the file has no `rollout` | write rollout: and a name",
      expect.stringMatching(/^rollout.yaml:2:9 `stable` must be up to 128 of .*, got \[1\] \| -$/),
      "rollout.yaml:3:1 unknown key `on_failure` | it belongs under `canary`",
      "rollout.yaml:5:12 `canary.release` has no value | give it one, or remove it",
      "rollout.yaml:6:3 unknown key `trafficPercentage` in `canary` | did you mean `traffic_percentage`?",
      'rollout.yaml:7:23 `canary.observation_period` has no unit: 4 | write "4s", "4m" or "4h"',
      "rollout.yaml:8:3 unknown key `error_rate_delta_max` in `canary` | it belongs under `canary.acceptance_criteria`",
      "rollout.yaml:10:5 unknown key `eror_rate_delta_max` in `canary.acceptance_criteria` | did you mean `error_rate_delta_max`?",
      'rollout.yaml:11:28 `canary.acceptance_criteria.latency_p99_delta_max` has no unit: 50 | write "50ms"',
      "rollout.yaml:12:15 `canary.on_failure` must be rollback or hold or contain, got panic | -",
    ])
  })

  it("offer no near key when none is near", () => {
    expect(canaryProblems("zebra: 1")[0]).toMatch(
      /unknown key `zebra` in `canary` \| known keys: release, traffic_percentage/,
    )
  })

  it.each([
    ["on_failure: rolback", "got rolback | did you mean `rollback`?"],
    ["on_failure: roll-back", "got roll-back | did you mean `rollback`?"],
    ["on_inconclusive: Extend", "got Extend | did you mean `extend`?"],
    ["intent: tigten", "got tigten | did you mean `tighten`?"],
  ])("name the word that %s is a slip of", (line, problem) => {
    expect(canaryProblems(line)[0]).toContain(problem)
  })

  it("stand in the message as well, for whoever only prints that", () => {
    expect(() => read("stable: 1")).toThrow(/invalid\nrollout\.yaml:1:1: the file has no `rollout`/)
  })

  it.each([
    ["an empty file", "", "rollout.yaml:1:1 the file is empty"],
    ["a comment only", "# soon", "the file is empty"],
    ["a list", "- 1", "rollout.yaml:1:1 the file must be a map of keys, got - 1"],
    ["a text", "hello", "the file must be a map of keys, got hello"],
    ["two documents", `${SEED}---\nrollout: other\n`, "rollout.yaml:12:1 a second document begins here"],
    ["a key twice", `${SEED}rollout: other\n`, "rollout.yaml:12:1 Map keys must be unique"],
    ["a tab for indentation", "canary:\n\trelease: 1", "rollout.yaml:2:"],
    ["an open quote", 'rollout: "x', "rollout.yaml:1:12 Missing closing"],
    ["an unknown tag", SEED.replace("1.4.0", "!!js/function 1.4.0"), "rollout.yaml:2:9 Unresolved tag"],
    [
      "an alias",
      SEED.replace("1.4.0", "&v 1.4.0").replace("release: 1.5.0", "release: *v"),
      "4:12 `canary.release` is an alias, *v",
    ],
    ["a merge key", `${SEED}<<: { stable: 2 }\n`, "12:1 unknown key `<<`"],
    ["__proto__", `${SEED}__proto__: { stable: 2 }\n`, "12:1 unknown key `__proto__`"],
    ["a key that is a list", `${SEED}? [1]\n: 2\n`, "12:3 unknown key `[1]`"],
    ["a file too long", `${SEED}#${"x".repeat(70_000)}`, "at most 65536 are read"],
    ["lists nested by the thousand", `rollout: ${"[".repeat(30_000)}`, "rollout.yaml:1:"],
    ["maps nested by the thousand", "a: {".repeat(10_000), "rollout.yaml:1:"],
  ])("say what is wrong with %s", (_what, text, expected) => {
    expect(linesOf(text)[0]).toContain(expected)
  })

  it("refuse a bomb of aliases at once", () => {
    const bomb = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    for (let i = 1; i < 12; i++) {
      const previous = String.fromCharCode(96 + i)
      const name = String.fromCharCode(97 + i)
      bomb.push(`${name}: &${name} [${Array.from({ length: 9 }, () => `*${previous}`).join(", ")}]`)
    }
    const started = performance.now()
    expect(problemsOf(bomb.join("\n")).length).toBeGreaterThan(0)
    expect(performance.now() - started).toBeLessThan(1000)
  })

  it("are the only way to fail: any text is either a spec or SPEC_INVALID with at least one problem", () => {
    const mutated = fc
      .tuple(fc.nat(SEED.length), fc.nat(12), fc.string({ unit: "grapheme", maxLength: 8 }))
      .map(([at, cut, text]) => SEED.slice(0, at) + text + SEED.slice(at + cut))
    fc.assert(
      fc.property(fc.oneof(mutated, fc.string({ maxLength: 200 })), (text) => {
        try {
          const spec = read(text)
          expect(spec.stages.at(-1)?.weightBp).toBe(10_000)
        } catch (error) {
          expect(isSerinError(error) && error.code === "SPEC_INVALID" && error.problems.length > 0).toBe(true)
        }
      }),
      { numRuns: runs(2000) },
    )
  })
})
