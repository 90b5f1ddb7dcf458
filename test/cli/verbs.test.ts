import { access, rm } from "node:fs/promises"
import { join } from "node:path"
import { beforeEach, describe, expect, it } from "vitest"
import { phaseOf } from "../../src/rollout/phase.js"
import { advance, NAME, T0, useBench } from "./harness.js"
import { verdictOf } from "../rollout/states.js"

/** The rollout serves sessions from the start. */
const WITHOUT_SHADOW = `rollout: ${NAME}
stable: 1.4.0
canary:
  release: 1.5.0
  shadow: false
  observation_period: 4h
  acceptance_criteria: { error_rate_delta_max: 0.01 }
`

const bench = useBench()
const pass = verdictOf("pass")

const phase = async (): Promise<string> => phaseOf(await bench().state()).phase
const last = async () => (await bench().state()).last

beforeEach(async () => void (await bench().serin("init")))

describe("serin start", () => {
  it("makes the state and starts in shadow, from now on", async () => {
    const { code, out } = await bench().serin("start")
    expect(code).toBe(0)
    expect(out).toContain("refund-agent: in shadow; revision 2")
    expect(out).toContain("next: from 2026-01-01T00:00:00Z on both judge and 1.4.0 serves, for 2h at least")
    expect(out).toContain("undo: serin rollback")
    expect(await last()).toMatchObject({
      event: "start",
      actor: { kind: "human", id: "ana" },
      reason: "put 1.5.0 to the test",
    })
  })

  it("says from when on sessions are the canary's when it serves at once", async () => {
    await bench().write("safety/rollout.yaml", WITHOUT_SHADOW)
    const { out } = await bench().serin("start")
    expect(out).toContain(
      "of the sessions that begin after 2026-01-01T00:00:10Z (in 10s), 1.5.0 serves 5 %, for 4h at least",
    )
  })

  it("of another version supersedes what is under way, and the history says so", async () => {
    await bench().serin("start")
    await rewrite("release: 1.5.0", "release: 1.6.0")
    expect((await bench().serin("start")).out).toContain("in shadow (was in shadow); revision 3")
    expect((await bench().serin("history")).out).toMatch(
      /start +- +ana +supersedes 1\.5\.0 \(in shadow\): put 1\.6\.0 to/,
    )
  })

  it("refuses what is under way, with the way out", async () => {
    await bench().serin("start")
    const { code, out, err } = await bench().serin("start")
    expect({ code, out }).toEqual({ code: 1, out: "" })
    expect(err).toContain("TRANSITION_REFUSED: Cannot start refund-agent, which is in shadow")
    expect(err).toContain("`rollback`")
  })

  it("refuses a broken file with each problem at its place, and writes nothing", async () => {
    await rewrite("release: 1.5.0", "release: 1.4.0")
    const { code, err } = await bench().serin("start")
    expect(code).toBe(1)
    expect(err).toMatch(/safety\/rollout\.yaml:\d+:\d+: `canary.release` is the stable version itself/)
    await expect(bench().state()).rejects.toThrow("there is no state")
  })
})

describe("serin contain", () => {
  it("says what it means for those who are served, by status, and how it ends", async () => {
    await bench().serin("start")
    const { code, out } = await bench().serin("contain", "--reason", "both let a refund through twice")
    expect(code).toBe(0)
    expect(out).toContain(
      "refund-agent: contained: both judge, the stricter answer is served (was in shadow); revision 3",
    )
    expect(out).toContain("next: 1.4.0 and 1.5.0 judge every call from the next on, and the stricter answer is served")
    expect(await last()).toMatchObject({ event: "contain", reason: "both let a refund through twice" })
    const status = await bench().serin("status")
    expect(status.code).toBe(8)
    expect(status.out).toContain("refund-agent  contained: both judge, the stricter answer is served")
    expect(status.out).toMatch(/next +`serin explain` says why; `serin rollback` once 1\.4\.0 is known to be safe/)
    expect((await bench().json("status")).doc).toMatchObject({ phase: { phase: "contained" }, exitCode: 8 })
    expect(await bench().serin("contain")).toMatchObject({ code: 0, out: expect.stringContaining("nothing to change") })
    expect((await bench().serin("rollback")).out).toContain("rolled back (was contained")
  })

  it("works after a promotion and after a rollback, and is refused where there is no canary or a kill", async () => {
    await bench().serin("start")
    await bench().serin("promote", "--to", "end", "--reason", "x")
    expect((await bench().serin("contain")).out).toContain("(was promoted)")
    await bench().serin("rollback")
    expect((await bench().serin("contain")).out).toContain("(was rolled back)")
    await bench().serin("kill")
    const { code, err } = await bench().serin("contain")
    expect(code).toBe(1)
    expect(err).toContain("`retry` lifts the kill")
  })

  it("ends with a new canary, and with a retry", async () => {
    await bench().serin("start")
    await bench().serin("contain")
    expect((await bench().serin("start")).err).toContain("`retry` gives 1.5.0 another chance")
    await bench().serin("retry", "--reason", "it was not the rules")
    expect(await phase()).toBe("shadow")
    await bench().serin("contain")
    await rewrite("release: 1.5.0", "release: 1.6.0")
    await bench().serin("start")
    expect(await phase()).toBe("shadow")
  })
})

describe("a verb", () => {
  it.each([
    [["--by", "cleo"], { SERIN_ACTOR: "bo", USER: "ana" }, "cleo"],
    [[], { SERIN_ACTOR: "bo", USER: "ana" }, "bo"],
    [[], { USER: "ana" }, "ana"],
    [["--by", ""], {}, "unknown"],
  ])("is done by --by, $SERIN_ACTOR, $USER or unknown: %j %j", async (argv, env, id) => {
    await bench().serinWith({ env }, "start", ...argv)
    expect((await last()).actor).toEqual({ kind: "human", id })
  })

  it.each([["pause"], ["resume"], ["approve"], ["promote"], ["rollback"], ["contain"], ["retry"]])(
    "%s without a state is refused",
    async (verb) => {
      const { code, err } = await bench().serin(verb, "--reason", "x")
      expect(code).toBe(1)
      expect(err).toMatch(/^TRANSITION_REFUSED: .*no state yet.*serin start/)
    },
  )

  it.each([
    [["promote"]],
    [["approve"]],
    [["retry"]],
    [["kill", "--position", "deny"]],
    [["promote", "--reason", " "]],
  ])(
    "%j raises exposure or takes the service away, so it is refused without a reason, and nothing is written",
    async (argv) => {
      await bench().serin("start")
      const { code, err } = await bench().serin(...argv)
      expect(code).toBe(2)
      expect(err).toContain('needs --reason "…"')
      expect((await bench().state()).revision).toBe(2)
    },
  )

  it.each([["pause"], ["rollback"], ["contain"], ["kill"]])("%s protects, so it asks for no reason", async (verb) => {
    await bench().serin("start")
    expect((await bench().serin(verb)).code).toBe(0)
    expect((await last()).reason).toMatch(/by hand$/)
  })

  it.each([["pause"], ["rollback"], ["contain"], ["kill"]])(
    "%s works while the rollout file is broken, and without it",
    async (verb) => {
      await bench().serin("start")
      await bench().write("safety/rollout.yaml", `rollout: ${NAME}\ncanary: [\n`)
      expect(await bench().serin(verb)).toMatchObject({
        code: 0,
        err: expect.stringMatching(/^note: .* is not valid; going by the name refund-agent .*\n$/),
      })
      expect((await last()).event).toBe(verb)
      await bench().serin("retry", "--reason", "x")
      await rm(join(bench().cwd, "safety/rollout.yaml"))
      expect(await bench().serin("kill")).toMatchObject({ code: 0 })
      expect(await phase()).toBe("killed")
    },
  )

  it.each([["pause"], ["rollback"], ["contain"], ["kill"]])(
    "%s works over a state that was broken by hand",
    async (verb) => {
      await bench().serin("start")
      await bench().writeRaw(`{"kill":"maybe"`)
      const { code, err } = await bench().serin(verb)
      expect({ code, err }).toEqual({ code: 0, err: expect.stringContaining("the newest revision cannot be read") })
      expect(await bench().state()).toMatchObject({ revision: 4, last: { event: verb } })
    },
  )

  it.each(["revision", "generation", "epoch"])(
    "pause writes over a state whose %s leaves no room for another, says so before, and resume goes on from there",
    async (field) => {
      await bench().serin("start")
      const state = await bench().state()
      await bench().writeRaw(JSON.stringify({ ...state, revision: 3, [field]: Number.MAX_SAFE_INTEGER }))
      const { code, err } = await bench().serin("status")
      expect(code).toBe(1)
      expect(err).toMatch(new RegExp(`^STATE_INVALID: .*\n {2}${field}: is above \\d+, which nobody who counts`))
      expect(err).toContain("pause, rollback and kill still work, and go on from the last good one")
      expect((await bench().serin("pause")).code).toBe(0)
      expect((await bench().serin("resume", "--reason", "mended")).code).toBe(0)
      expect(await bench().state()).toMatchObject({ revision: 5, generation: 1, salt: state.salt, holds: [] })
    },
  )

  it("pause does not take for good what was put in the place of another revision", async () => {
    await bench().serin("start")
    const state = await bench().state()
    await bench().writeRaw(JSON.stringify({ ...state, revision: 1_000_000, salt: "forged" }))
    expect((await bench().serin("pause")).err).toContain("the newest revision cannot be read")
    expect(await bench().state()).toMatchObject({ revision: 4, salt: state.salt })
  })

  it("keeps the event that was asked for when the last readable revision is killed already", async () => {
    await bench().serin("start")
    await bench().serin("kill")
    await bench().writeRaw("{}")
    expect((await bench().serin("kill")).code).toBe(0)
    expect(await bench().state()).toMatchObject({ revision: 5, kill: "stable" })
  })

  it.each([["resume"], ["promote"], ["retry"], ["start"]])(
    "%s does not guess at a state that cannot be read",
    async (verb) => {
      await bench().serin("start")
      await bench().writeRaw("{}")
      expect(await bench().serin(verb, "--reason", "x")).toMatchObject({
        code: 1,
        err: expect.stringMatching(/^STATE_INVALID/),
      })
    },
  )

  it("is not applied to a guess when the file is gone and the state directory holds several rollouts", async () => {
    await bench().serin("start")
    const text = await bench().read("safety/rollout.yaml")
    await bench().write("safety/rollout.yaml", text.replace(NAME, "another"))
    await bench().serin("start")
    await rm(join(bench().cwd, "safety/rollout.yaml"))
    expect(await bench().serin("kill")).toMatchObject({ code: 1, err: expect.stringMatching(/^SPEC_INVALID/) })
    expect(await phase()).toBe("shadow")
  })

  it("takes its turn with others that write at the same time", async () => {
    await bench().serin("start")
    const ran = await Promise.all([bench().serin("pause"), bench().serin("kill"), bench().serin("kill", "--by", "bo")])
    expect(ran.map(({ code }) => code).filter((code) => code !== 0).length).toBeLessThanOrEqual(1) // a pause after the kill is refused
    expect(await phase()).toBe("killed")
  })

  it("says when there was nothing to change, and writes nothing", async () => {
    await bench().serin("start")
    await bench().serin("pause")
    const { code, out } = await bench().serin("pause")
    expect(code).toBe(0)
    expect(out).toContain("nothing to change, still revision 3")
    expect(out).not.toContain("undo")
    expect((await bench().json("pause")).doc).toMatchObject({ changed: false, revision: 3, undo: null })
  })

  it("answers a document with --json", async () => {
    await bench().serin("start")
    const { code, doc } = await bench().json("pause")
    expect(code).toBe(0)
    expect(doc).toMatchObject({ changed: true, revision: 3, phase: { phase: "shadow" }, undo: "serin resume" })
    expect(doc["state"]).toEqual(JSON.parse(JSON.stringify(await bench().state())))
  })

  it("gives advice that works on the same place", async () => {
    await bench().write("other dir/a.yaml", await bench().read("safety/rollout.yaml"))
    const place = ["--rollout", "other dir/a.yaml", "--state", "elsewhere"]
    const { out } = await bench().serin("start", ...place)
    expect(out).toContain("undo: serin rollback --rollout 'other dir/a.yaml' --state elsewhere")
    expect((await bench().serin("status", ...place)).code).toBe(12)
    expect((await bench().serin("status")).code).toBe(6)
  })
})

describe("serin pause and resume", () => {
  it("hold the stage and let it go", async () => {
    await bench().serin("start")
    const paused = await bench().serin("pause", "--reason", "incident 42")
    expect(paused.out).toContain("held by paused")
    expect(paused.out).toContain("undo: serin resume")
    expect((await bench().state()).holds).toMatchObject([{ reason: "paused", note: "incident 42" }])
    expect((await bench().serin("resume")).out).toContain("undo: serin pause")
    expect((await bench().state()).holds).toEqual([])
  })
})

describe("serin approve", () => {
  it("lets a stage that asks for it be left, and says so before", async () => {
    await rewrite('shadow: { period: "2h" }', "shadow: { approval: true }")
    expect((await bench().serin("start")).code).toBe(0)
    expect((await bench().serin("status")).out).toContain("then it waits for `serin approve")
    const early = await bench().serin("approve", "--reason", "it will do")
    expect(early).toMatchObject({ code: 1, out: "" })
    expect(early.err).toContain("its evidence has to pass first: its period ends at 2026-01-01T00:10:00.000Z")
    await advance(bench(), pass)
    expect((await bench().serin("status")).out).toContain("it waits for `serin approve")
    await bench().serin("approve", "--reason", "looked at it")
    expect((await bench().state()).approvals).toMatchObject([{ stage: 0, by: "ana", reason: "looked at it" }])
    await advance(bench(), pass)
    expect(await phase()).toBe("canary")
  })

  it("is refused where no approval is asked for, with the verb that goes on", async () => {
    await bench().serin("start")
    const { code, err } = await bench().serin("approve", "--reason", "x")
    expect(code).toBe(1)
    expect(err).toContain("`promote` goes on at once")
  })
})

describe("serin promote", () => {
  it("goes to the next stage, and to the end", async () => {
    await bench().serin("start")
    const next = await bench().serin("promote", "--reason", "seen enough")
    expect(next.out).toContain("canary at 5 % (was in shadow); revision 3")
    expect(next.out).toContain("undo: serin rollback")
    const end = await bench().serin("promote", "--to", "end", "--reason", "seen enough")
    expect(end.out).toContain("promoted (was canary at 5 %)")
    expect(end.out).toContain("write stable: 1.5.0 in the rollout file")
  })

  it("is taken back by rollback", async () => {
    await bench().serin("start")
    await bench().serin("promote", "--to", "end", "--reason", "x")
    expect((await bench().serin("rollback")).out).toContain("rolled back (was promoted)")
  })
})

describe("serin rollback and retry", () => {
  it("give every session back and begin again with the file as it is now", async () => {
    await bench().serin("start")
    const back = await bench().serin("rollback", "--reason", "denied refunds")
    expect(back.out).toContain("1.4.0 serves every session from its next call on")
    expect(back.out).toContain('undo: serin retry --reason "…"')
    await rewrite("traffic_percentage: 5", "traffic_percentage: 10")
    expect((await bench().serin("retry", "--reason", "mended")).code).toBe(0)
    expect(await bench().state()).toMatchObject({
      generation: 2,
      ended: null,
      spec: { stages: [{}, { weightBp: 1000 }, {}, {}, {}] },
    })
  })

  it("are refused when they make no sense, with the verb that does", async () => {
    await bench().serin("start")
    expect((await bench().serin("retry", "--reason", "x")).err).toContain("it is under way: `rollback` first")
    await bench().serin("kill")
    expect((await bench().serin("rollback")).err).toContain("no session is served by the canary as it is")
    expect((await bench().serin("start")).err).toContain("`retry` begins again and lifts the kill")
  })
})

describe("serin contain", () => {
  it("names what takes the containment away, and that nothing brings back what was before", async () => {
    await bench().serin("start")
    const { out } = await bench().serin("contain", "--reason", "both let a refund through")
    expect(out).toContain("undo: serin rollback (1.4.0 alone serves, once it is known to be safe; ")
    expect((await bench().serin("rollback")).out).toContain("rolled back (was contained")
  })
})

describe("serin kill", () => {
  it("gives every session to stable, or denies every call, and back", async () => {
    await bench().serin("start")
    const stable = await bench().serin("kill")
    expect(stable.out).toContain("killed: stable serves every session (was in shadow)")
    const deny = await bench().serin("kill", "--position", "deny", "--reason", "it deletes accounts")
    expect(deny.out).toContain("killed: every call is denied")
    expect(deny.out).toContain("undo: serin kill --position stable")
    expect((await bench().state()).kill).toBe("deny")
    const { out } = await bench().serin("status")
    expect(out).toMatch(/next +`serin kill --position stable --reason "…"` has 1\.4\.0 serve again, once it is known/)
    expect(out).toMatch(/`serin retry --reason "…"` serves again as well, and begins with the canary that the rollout/)
    await bench().serin("kill", "--position", "stable")
    expect((await bench().state()).kill).toBe("stable")
    expect((await bench().serin("retry", "--reason", "x")).out).toContain("in shadow")
  })

  it("before the first start, makes a state for those who will start, warns those who run, and is lifted without a canary", async () => {
    const { code, err } = await bench().serin("kill")
    expect(code).toBe(0)
    expect(err).toContain("there was no state in safety/state, so one was made")
    expect(await phase()).toBe("killed")
    expect((await bench().serin("retry", "--reason", "x")).out).toContain("refund-agent: idle")
    expect(await bench().state()).toMatchObject({ canary: null, generation: 0 })
  })

  it.each([[["kill"]], [["kill", "--position", "deny", "--reason", "x"]]])(
    "without a state and with a broken file, says that nothing was killed and why, and writes nothing: %j",
    async (argv) => {
      await rewrite("release: 1.5.0", "release: 1.4.0")
      const { code, out, err } = await bench().serin(...argv)
      expect({ code, out }).toEqual({ code: 1, out: "" })
      const [, told, problem] = err.split("\n")
      expect(told).toContain(
        "SPEC_INVALID: nothing was killed, and nothing written: refund-agent has no state in safety/",
      )
      expect(told).toContain("needs a valid safety/rollout.yaml")
      expect(problem).toMatch(/^ {2}safety\/rollout\.yaml:5:3: `canary\.release` is the stable version itself/)
      await expect(access(join(bench().cwd, "safety/state"))).rejects.toThrow("ENOENT")
      expect(await bench().json(...argv)).toMatchObject({ code: 1, doc: { error: { code: "SPEC_INVALID" } } })
      await rewrite("release: 1.4.0", "release: 1.5.0")
      expect((await bench().serin(...argv)).code).toBe(0)
    },
  )
})

it("the clock of every revision is the one that was handed in", async () => {
  await bench().serin("start")
  bench().clock.advance(5000)
  await bench().serin("kill")
  expect((await last()).at).toBe(T0 + 5000)
})

async function rewrite(from: string, to: string): Promise<void> {
  const text = await bench().read("safety/rollout.yaml")
  if (!text.includes(from)) throw new Error(`the file has no ${from}`)
  await bench().write("safety/rollout.yaml", text.replace(from, to))
}
