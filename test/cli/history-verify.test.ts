import { createHash } from "node:crypto"
import { rename, rm } from "node:fs/promises"
import { join } from "node:path"
import { beforeEach, describe, expect, it } from "vitest"
import { stateKey, verdictKey } from "../../src/controller/keys.js"
import { createLeader } from "../../src/controller/leader.js"
import { createWritingFollower } from "../../src/controller/writing-follower.js"
import { parseSpec } from "../../src/rollout/spec.js"
import { initialState, parseState, serializeState } from "../../src/rollout/state.js"
import { paired } from "../controller/evidence.js"
import { keyPair, sealed } from "../signing/keys.js"
import { NAME, useBench } from "./harness.js"

const bench = useBench()
const by = (canary: string) => `
rollout: ${NAME}
stable: 1.4.0
canary: { release: ${canary}, acceptance_criteria: { newly_denied_rate_max: 0.02 } }
`
const fileOf = (revision: number, key = stateKey(NAME)): string =>
  join("safety/state", key, `${String(revision).padStart(10, "0")}.json`)
const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex")

beforeEach(() => bench().write("safety/rollout.yaml", by("1.5.0")))

/** Judge a canary once that denies half of what stable allows: it is rolled back, by a verdict that is recorded. */
async function breach(store = bench().store): Promise<void> {
  const { clock } = bench()
  const follower = await createWritingFollower({ store, rollout: NAME, clock })
  const { generation } = follower.current()!
  const evidence = paired(generation, 2, 200, (n) => n % 2 === 0)
  const leader = createLeader({
    store,
    rollout: NAME,
    follower,
    source: { read: () => Promise.resolve(evidence) },
    clock,
    actor: { kind: "controller", id: `host/${generation}` },
  })
  await leader.tick()
  await leader.close()
  follower.close()
}

async function verified(...flags: string[]) {
  const { code, doc } = await bench().json("history", "--verify", ...flags)
  const findings = (doc["findings"] as { code: string; revision: number }[] | undefined) ?? []
  return { code, doc, found: findings.map((one) => `${one.code} ${one.revision}`) }
}
const edit = async (revision: number, from: string, to: string, key?: string): Promise<void> => {
  const text = await bench().read(fileOf(revision, key))
  expect(text).toContain(from)
  await bench().write(fileOf(revision, key), text.replace(from, to))
}
/** Five revisions: init, start, pause, resume, kill. */
async function five(): Promise<void> {
  for (const verb of ["start", "pause", "resume", "kill"]) await bench().serin(verb)
}

describe("serin history --verify", () => {
  it("finds whole what every verb, the leader and whoever stops over a broken state wrote", async () => {
    await five()
    await bench().serin("retry", "--reason", "again")
    await bench().serin("promote", "--reason", "sure")
    await bench().serin("rollback")
    await bench().serin("contain")
    await bench().serin("retry", "--reason", "again")
    await breach()
    await bench().serin("retry", "--reason", "again")
    await bench().write("safety/rollout.yaml", by("1.6.0"))
    await bench().serin("start")
    await bench().writeRaw("half of a docum")
    await bench().writeRaw("and another")
    await bench().serin("kill", "--position", "deny", "--reason", "broken")
    const { code, doc, found } = await verified()
    const { revision, last } = await bench().state()
    expect({ code, found }).toEqual({ code: 0, found: [] })
    expect(last).toMatchObject({ event: "kill", previous: `sha256:${sha256("and another")}` })
    expect(doc).toMatchObject({
      result: "whole",
      newest: revision,
      from: 1,
      begins: "first",
      overwritten: [revision - 1, revision - 2],
      records: { matched: 1, gone: 0 },
    })
    const { out } = await bench().serin("history", "--verify")
    expect(out).toMatch(/^WHOLE: refund-agent: each revision is what the next was written over\n/)
    expect(out).toMatch(new RegExp(`^  chain +revisions ${revision} to 1: all that there ever were$`, "m"))
    expect(out).toMatch(new RegExp(`^  head +${revision}:sha256:${sha256(await bench().read(fileOf(revision)))}$`, "m"))
  })

  it("also binds what was good before a revision that was broken", async () => {
    await five()
    await bench().writeRaw("{}")
    await bench().serin("kill", "--position", "deny", "--reason", "broken")
    expect(await verified()).toMatchObject({ code: 0, doc: { overwritten: [6] } })
    await edit(5, '"kill":"stable"', '"kill":"deny"')
    expect(await verified()).toMatchObject({ code: 10, found: ["changed 5"], doc: { from: 6 } })
  })

  it.each([
    ["a word that was changed", () => edit(3, '"id":"ana"', '"id":"eve"'), ["changed 3"]],
    ["half of it gone", () => bench().write(fileOf(3), "{"), ["unreadable 3"]],
    ["a file that was removed", () => rm(join(bench().cwd, fileOf(3))), ["removed 3"]],
    ["another in its place", async () => bench().write(fileOf(3), await bench().read(fileOf(2))), ["misplaced 3"]],
    [
      "a gap that was closed",
      async () => {
        for (const n of [3, 4]) await rename(join(bench().cwd, fileOf(n + 1)), join(bench().cwd, fileOf(n)))
      },
      ["misplaced 4", "misplaced 3"],
    ],
    [
      "a state of another rollout",
      () =>
        edit(3, `"rollout":"${NAME}"`, '"rollout":"other"').then(() =>
          edit(3, `"rollout":"${NAME}"`, '"rollout":"other"'),
        ),
      ["misplaced 3"],
    ],
    ["bytes that are no text", () => bench().write(fileOf(3), "\u{FFFD}"), ["unreadable 3"]],
  ])("exits with 10 and names the revision: %s", async (_, tamper, expected) => {
    await five()
    await tamper()
    const { code, found } = await verified()
    expect({ code, found }).toEqual({ code: 10, found: expected })
    const { out } = await bench().serin("history", "--verify")
    expect(out).toMatch(/^BROKEN: refund-agent: \d things? (is|are) wrong\n {2}revision \d +(\w+) +\S/)
  })

  it("finds a revision that was written by something else, and says where a history from before the chain begins", async () => {
    const actor = { kind: "human", id: "ana" } as const
    const first = initialState(parseSpec(by("1.5.0"), { path: "rollout.yaml" }), 0, "salt", actor)
    await bench().writeRaw(serializeState(first))
    await bench().writeRaw(serializeState({ ...first, revision: 2 }))
    await bench().serin("start")
    expect(await verified()).toMatchObject({ code: 0, doc: { from: 2, begins: "unchained" } })
    expect((await bench().serin("history", "--verify")).out).toContain("revisions 3 to 2: older ones were written by a")
    const { previous: _, ...last } = (await bench().state()).last
    await bench().writeRaw(serializeState({ ...(await bench().state()), revision: 4, last }))
    await bench().serin("kill")
    expect(await verified()).toMatchObject({ code: 10, found: ["unchained 4"], doc: { from: 4, begins: "broken" } })
  })

  it("takes the newest revision for what it is, says so, and holds it against a head that was noted", async () => {
    await five()
    const { doc } = await verified()
    const head = String(doc["head"])
    expect(head).toBe(`5:sha256:${sha256(await bench().read(fileOf(5)))}`)
    expect(await verified("--head", head)).toMatchObject({ code: 0, doc: { newestBy: "noted head", headsHeld: 1 } })
    await edit(5, '"id":"ana"', '"id":"eve"')
    const unseen = await bench().serin("history", "--verify")
    expect(unseen).toMatchObject({ code: 0, out: expect.stringMatching(/newest +revision 5: taken for what it is/) })
    expect(await verified("--head", head)).toMatchObject({ code: 10, found: ["head_changed 5"] })
    expect(await verified("--head", head.replace("5:", ""))).toMatchObject({ code: 10, found: ["head_removed 5"] })
    await rm(join(bench().cwd, fileOf(5)))
    expect(await verified()).toMatchObject({ code: 0, doc: { newest: 4 } })
    expect(await verified("--head", head)).toMatchObject({ code: 10, found: ["head_removed 5"] })
    expect((await bench().serin("history", "--verify", "--head", head)).out).toContain(
      "was noted, and is gone; the newest that is there is revision 4",
    )
  })

  it("reads heads from a file, also from what it wrote itself", async () => {
    await five()
    const { out } = await bench().serin("history", "--verify")
    await bench().write("heads", out)
    await bench().serin("retry", "--reason", "again")
    await bench().write("heads", out + (await bench().serin("history", "--verify", "--json")).out)
    await bench().serin("pause")
    expect(await verified("--head", "heads")).toMatchObject({ code: 0, doc: { headsHeld: 2, newestBy: null } })
    for (const [given, why] of [
      ["nothing", "or a file of at most 1 MiB with such a line"],
      ["safety/rollout.yaml", "has no head in it"],
      ["sha256:12", "--head must be sha256:"],
    ]) {
      const refused = await bench().serin("history", "--verify", "--head", String(given))
      expect(refused).toMatchObject({ code: 2, err: expect.stringContaining(String(why)) })
    }
    expect(await bench().serin("history", "--head", "heads")).toMatchObject({ code: 2 })
    expect(await bench().serin("history", "--verify", "--limit", "2")).toMatchObject({ code: 2 })
  })

  it("says from which revision on it holds where older ones are not kept, and which noted head it cannot compare", async () => {
    await five()
    const heads = await Promise.all([1, 2, 3].map(async (n) => `${n}:sha256:${sha256(await bench().read(fileOf(n)))}`))
    for (const n of [1, 2]) await rm(join(bench().cwd, fileOf(n)))
    expect(await verified()).toMatchObject({ code: 0, doc: { from: 3, begins: "pruned" } })
    // Revision 3 still says what it was written over.
    expect(await verified("--head", heads[1]!)).toMatchObject({ code: 0, doc: { headsHeld: 1 } })
    expect(await verified("--head", heads[0]!)).toMatchObject({ code: 1, doc: { result: "unproven", findings: [] } })
    const { out } = await bench().serin("history", "--verify", "--head", heads[0]!)
    expect(out).toMatch(/^NOT PROVEN: .*\n[^]*revision 1, is older than all that is kept, from revision 3 on/)
    const other = heads[1]!.replace(/.$/, (digit) => (digit === "0" ? "1" : "0"))
    expect(await verified("--head", other)).toMatchObject({ code: 10, found: ["head_changed 2"] })
  })

  it("exits with 6 without a history, and with 10 where one was noted", async () => {
    expect(await bench().serin("history", "--verify")).toMatchObject({
      code: 6,
      out: expect.stringContaining("no history"),
    })
    expect(await verified("--head", `7:sha256:${sha256("x")}`)).toMatchObject({ code: 10, found: ["head_removed 7"] })
  })
})

describe("a recorded verdict", () => {
  const KEY = verdictKey(NAME)

  it("is named by the revision that it moved, as its own hash", async () => {
    await bench().serin("start")
    await breach()
    const hash = `sha256:${sha256(await bench().read(fileOf(1, KEY)))}`
    const { last, revision } = await bench().state()
    expect(last).toMatchObject({ event: "rollback", record: hash })
    expect((await bench().serin("history")).out).toContain(`rollback  ${hash.slice(7, 19)}`)
    const { out } = await bench().serin("verify")
    expect(out).toMatch(new RegExp(`^  record +${hash}$`, "m"))
    expect(out).toMatch(new RegExp(`^  moved +revision ${revision}: rollback by host/1`, "m"))
    expect((await bench().json("verify")).doc).toMatchObject({ hash, moved: { revision, event: "rollback" } })
    await bench().serin("explain", "--out", "verdict.json")
    expect((await bench().json("verify", "verdict.json")).doc).toMatchObject({ hash, moved: null })
  })

  it("that was changed or removed is found", async () => {
    await bench().serin("start")
    await breach()
    const { revision } = await bench().state()
    await edit(1, '"result":"breach"', '"result":"pass"', KEY)
    expect(await verified()).toMatchObject({ code: 10, found: [`record_changed ${revision}`] })
    await rm(join(bench().cwd, fileOf(1, KEY)))
    expect(await verified()).toMatchObject({ code: 10, found: [`record_missing ${revision}`] })
  })

  it("may be gone when as many newer ones are kept as there is room for, and not before", async () => {
    await bench().serin("start")
    await breach()
    const one = await bench().read(fileOf(1, KEY))
    const later = (n: number) => one.replace(/"at":\d+/, `"at":${bench().clock.now() + n}`)
    for (let n = 1; n <= 20; n++) await bench().store.compareAndSet(KEY, n, later(n), { keep: 20 })
    expect(await verified()).toMatchObject({ code: 0, doc: { records: { matched: 0, gone: 1 } } })
    await rm(join(bench().cwd, fileOf(2, KEY)))
    expect((await verified()).code).toBe(10)
  })
})

describe("a history that is signed", () => {
  const [ana, eve] = [keyPair(), keyPair()]
  const KEY = stateKey(NAME)
  const trusted = ["--trusted-keys", "ana.pub"]

  beforeEach(async () => {
    await bench().write("ana", ana.privatePem)
    await bench().write("ana.pub", ana.publicPem)
  })

  it("has its newest revision vouched for by a key, and by that all that it was written over, signed or not", async () => {
    await bench().serin("start")
    await bench().serin("sign", "--reason", "from today on", "--state-key", "ana")
    await bench().serin("pause", "--state-key", "ana")
    expect(await verified(...trusted)).toMatchObject({
      code: 0,
      doc: { newestBy: "signature", from: 1, unsigned: [2, 1] },
    })
    expect((await bench().serin("history", "--verify")).out).toMatch(/signed +not checked: name the keys/)
    // Signed again where it is, by another key: the same was said.
    const { payload } = JSON.parse(await bench().read(fileOf(3))) as { payload: string }
    await bench().write(fileOf(3), sealed(KEY, Buffer.from(payload, "base64"), [eve]))
    expect(await verified(...trusted)).toMatchObject({ code: 0, found: [], doc: { unsigned: [3, 2, 1] } })
    await bench().write(
      fileOf(3),
      sealed(KEY, Buffer.from(payload, "base64").toString().replace('"id":"ana"', '"id":"eve"'), [ana]),
    )
    expect(await verified(...trusted)).toMatchObject({ code: 10, found: ["changed 3"] })
  })

  it("is broken where the newest was written by somebody else, until one who is trusted writes over it", async () => {
    await bench().serin("start", "--state-key", "ana")
    const state = parseState(
      Buffer.from((JSON.parse(await bench().read(fileOf(2))) as { payload: string }).payload, "base64").toString(),
    )
    await bench().writeRaw(sealed(KEY, serializeState({ ...state, revision: 3, kill: "off" }), [eve]))
    expect(await verified(...trusted)).toMatchObject({ code: 10, found: ["untrusted 3"] })
    await bench().serin("kill", "--state-key", "ana")
    expect(await verified(...trusted)).toMatchObject({ code: 0, doc: { overwritten: [3], newestBy: "signature" } })
  })

  it("keeps no verdicts from before it was signed, and says that they are gone", async () => {
    await bench().serin("start")
    await breach()
    await bench().serin("sign", "--reason", "from today on", "--state-key", "ana")
    expect(await verified(...trusted)).toMatchObject({ code: 0, doc: { records: { matched: 0, gone: 1 } } })
  })
})
