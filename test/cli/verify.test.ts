import { join } from "node:path"
import { beforeEach, describe, expect, it } from "vitest"
import type { VerdictRecord } from "../../src/analysis/replay.js"
import { createWritingFollower } from "../../src/controller/writing-follower.js"
import { verdictKey } from "../../src/controller/keys.js"
import { createLeader } from "../../src/controller/leader.js"
import type { StateStore } from "../../src/rollout/store.js"
import { NAME, useBench, type Bench } from "./harness.js"
import { paired } from "../controller/evidence.js"

const bench = useBench()

beforeEach(async () => {
  await bench().serin("init")
  await bench().serin("start")
})

/** Judge once over real evidence, as the application that embeds the rollout does. */
async function lead<T>(
  { store, clock }: Bench,
  run: (leader: ReturnType<typeof createLeader>) => Promise<T>,
  options: { reports?: StateStore; denies?: (n: number) => boolean } = {},
): Promise<T> {
  const follower = await createWritingFollower({ store, rollout: NAME, clock })
  const evidence = paired(1, 2, 200, options.denies ?? ((n) => n % 2 === 0))
  const leader = createLeader({
    store: options.reports ?? store,
    rollout: NAME,
    follower,
    source: { read: () => Promise.resolve(evidence) },
    clock,
    actor: { kind: "controller", id: "host/1" },
  })
  try {
    return await run(leader)
  } finally {
    await leader.close()
    follower.close()
  }
}

const tick = (options?: Parameters<typeof lead>[2]) => lead(bench(), (leader) => leader.tick(), options)
const kept = async (): Promise<VerdictRecord | null> => {
  const found = await bench().store.get(verdictKey(NAME))
  return found && (JSON.parse(found.envelope) as VerdictRecord)
}
const rewrite = async (change: (record: VerdictRecord) => object): Promise<void> =>
  bench().write("verdict.json", JSON.stringify(change((await kept())!)))

describe("the verdict that moves a rollout", () => {
  it("is kept with all that it was made of, beside the revision that it made", async () => {
    const report = await tick()
    const record = await kept()
    expect(record).toMatchObject({ rollout: NAME, stable: "1.4.0", canary: "1.5.0", generation: 1, revision: 3 })
    expect(record?.verdict).toEqual(JSON.parse(JSON.stringify(report.verdict)))
    expect((await bench().state()).last).toMatchObject({ event: "rollback", verdict: { at: record?.at } })
  })

  it("is not kept again by looks that move nothing, and is kept when it is asked for", async () => {
    const healthy = { denies: () => false }
    await tick(healthy)
    expect(await kept()).toBeNull()
    const record = await lead(bench(), (leader) => leader.record(), healthy)
    expect(record).toEqual(await kept())
    expect(await bench().serin("verify")).toMatchObject({ code: 0 })
  })

  it("moves it whether it can be kept or not, and the next report says why not", async () => {
    const full: StateStore = { ...bench().store, caps: { ...bench().store.caps, maxBytes: 100 } }
    const [first, second] = await lead(
      bench(),
      async (leader) => {
        const first = await leader.tick()
        expect(await leader.record()).toBeNull()
        return [first, await leader.tick()]
      },
      { reports: full },
    )
    expect(first?.verdict?.result).toBe("breach")
    expect((await bench().state()).ended).toMatchObject({ kind: "rolled_back" })
    expect(second?.problem).toMatch(/not kept for `serin verify`: it has \d+ bytes, and at most 100/)
    expect(await kept()).toBeNull()
  })
})

describe("serin verify", () => {
  it("makes the newest verdict again, says by what it was computed, and explains it", async () => {
    await tick()
    const { code, out } = await bench().serin("verify")
    expect(code).toBe(0)
    expect(out).toMatch(/^VERIFIED: the inputs give this verdict, to the bit\n/)
    expect(out).toMatch(/recorded by +serin \S+ on Node\.js \d/)
    expect(out).toMatch(/^BREACH of newly_denied_rate_max, judged 2026-01-01/m)
  })

  it("works on a copy, and on the very file of the store, without the rollout's file and state", async () => {
    await tick()
    expect(await bench().serin("explain", "--out", "verdict.json")).toMatchObject({
      code: 0,
      out: expect.stringContaining("`serin verify verdict.json`"),
    })
    expect(await bench().serin("verify", "verdict.json")).toMatchObject({ code: 0 })
    const revision = join("safety/state", verdictKey(NAME), "0000000001.json")
    expect(await bench().serin("verify", revision)).toMatchObject({ code: 0 })
    await bench().write("safety/rollout.yaml", "")
    expect(await bench().serin("verify", "verdict.json")).toMatchObject({ code: 0 })
  })

  it("answers a document with --json", async () => {
    await tick()
    const { code, doc } = await bench().json("verify")
    expect(code).toBe(0)
    expect(doc).toMatchObject({
      same: true,
      sameVersion: true,
      sameRuntime: true,
      differences: [],
      largestRelativeDifference: 0,
      record: { rollout: NAME, revision: 3 },
      verdict: { result: "breach" },
    })
  })

  it("exits with 7 and names the numbers, when somebody changed the verdict", async () => {
    await tick()
    await rewrite((record) => ({
      ...record,
      verdict: { ...(record.verdict as object), result: "pass", logEFamily: 1 },
    }))
    const { code, out } = await bench().serin("verify", "verdict.json")
    expect(code).toBe(7)
    expect(out).toMatch(/^NOT VERIFIED: 2 places differ\n/)
    expect(out).toMatch(/verdict\.result +"pass" +"breach"/)
    expect(out).toContain("the document was changed, or made by something else")
    expect((await bench().json("verify", "verdict.json")).doc).toMatchObject({ same: false, differenceCount: 2 })
  })

  it("exits with 7 when somebody changed the evidence", async () => {
    await tick()
    await rewrite((record) => {
      const [before, stratum] = record.inputs.evidence.strata
      const strata = [before, { ...stratum, pairs: [...stratum!.pairs].map((n) => (n > 1 ? n - 1 : n)) }]
      return { ...record, inputs: { ...record.inputs, evidence: { ...record.inputs.evidence, strata } } }
    })
    expect(await bench().serin("verify", "verdict.json")).toMatchObject({ code: 7 })
  })

  it("says that another runtime computed it, and that it is a matter of rounding where it is", async () => {
    await tick()
    const runtime = { node: "99.0.0", v8: "99", arch: "abacus" }
    await rewrite((record) => ({ ...record, runtime }))
    expect(await bench().serin("verify", "verdict.json")).toMatchObject({ code: 0 })
    expect((await bench().json("verify", "verdict.json")).doc).toMatchObject({ same: true, sameRuntime: false })

    const nearly = (record: VerdictRecord, factor: number) => {
      const verdict = record.verdict as { logEFamily: number }
      return { ...record, runtime, verdict: { ...verdict, logEFamily: verdict.logEFamily * factor } }
    }
    await rewrite((record) => nearly(record, 1 + 2 ** -50))
    const off = await bench().serin("verify", "verdict.json")
    expect(off).toMatchObject({ code: 7, out: expect.stringContaining("computed by another runtime: all words and") })
    expect(off.out).toContain("on Node.js 99.0.0, abacus")
    await rewrite((record) => nearly(record, 1.01))
    expect((await bench().serin("verify", "verdict.json")).out).toContain("explains no difference as large as this")
    await rewrite((record) => ({ ...nearly(record, 1.01), serin: "0.0.9" }))
    expect((await bench().serin("verify", "verdict.json")).out).toContain(
      "computed by another version; verify with serin 0.0.9",
    )
  })

  it("says that none is kept yet", async () => {
    expect(await bench().serin("verify")).toMatchObject({ code: 6, out: expect.stringContaining("no verdict is kept") })
    expect(await bench().json("verify")).toMatchObject({ code: 6, doc: { same: null } })
    expect(await bench().serin("explain", "--out", "x.json")).toMatchObject({
      code: 1,
      err: expect.stringContaining("VERDICT_INVALID: no verdict is kept"),
    })
  })

  it("overwrites no file", async () => {
    await tick()
    await bench().write("here.json", "mine")
    expect(await bench().serin("explain", "--out", "here.json")).toMatchObject({ code: 2 })
    expect(await bench().read("here.json")).toBe("mine")
  })

  it("takes a file or a place, not both", async () => {
    expect(await bench().serin("verify", "a.json", "--state", "b")).toMatchObject({ code: 2 })
  })
})

describe("a file that is no verdict", () => {
  const broken = async (text: string): Promise<string> => {
    await bench().write("verdict.json", text)
    const { code, out, err } = await bench().serin("verify", "verdict.json")
    expect({ code, out }).toEqual({ code: 1, out: "" })
    expect(err).toMatch(/^VERDICT_INVALID: /)
    return err
  }

  it("is refused, with the reason", async () => {
    expect(await broken("{")).toContain("is not JSON that can be read")
    expect(await broken("[".repeat(200_000))).toContain("is not JSON that can be read")
    expect(await broken(" ".repeat(8 * 1024 * 1024 + 1))).toContain("has 8388609 bytes")
    expect(await broken("null")).toContain("record:")
    expect(await broken('{"format":"serin/state/1"}')).toContain("format:")
    expect((await bench().serin("verify", "none.json")).err).toContain(
      "none.json cannot be read: there is no such file",
    )
    expect((await bench().serin("verify", "safety")).err).toContain("safety is a folder; name a file")
  })

  it("is refused where it names a prototype, wherever that is", async () => {
    await tick()
    const text = JSON.stringify(await kept())
    expect(await broken(text.replace('"verdict":{', '"verdict":{"__proto__":{"result":"pass"},'))).toContain(
      "__proto__",
    )
    expect(await broken(text.replace('"shadow":', '"__proto__":{},"shadow":'))).toContain("__proto__")
    await bench().write("verdict.json", text.replace('"verdict":{', '"verdict":{"constructor":1,"toString":2,'))
    expect((await bench().json("verify", "verdict.json")).doc).toMatchObject({ differenceCount: 2 })
  })

  it("is refused where its inputs are none", async () => {
    await tick()
    const record = (await kept())!
    const inputs = (change: object): string => JSON.stringify({ ...record, inputs: { ...record.inputs, ...change } })
    const { evidence } = record.inputs
    expect(await broken(inputs({ more: 1 }))).toContain("inputs")
    expect(await broken(inputs({ falseAlarmRate: 2 }))).toContain("falseAlarmRate")
    expect(await broken(inputs({ ramp: [] }))).toContain("do not belong to a ramp")
    expect(await broken(inputs({ criteria: [{ name: "toString", max: 1, mode: "enforce" }] }))).toContain("criteria")
    expect(await broken(inputs({ evidence: { ...evidence, cells: ["a"] } }))).toContain("counts in another way")
    const strata = [{ ...evidence.strata[0], latency: [-1e300, 1] }]
    expect(await broken(inputs({ evidence: { ...evidence, strata } }))).toContain("strata[0].latency")
  })
})
