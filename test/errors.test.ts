import { rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { beforeEach, describe, expect, it, vi } from "vitest"
import { command } from "../src/channels/command.js"
import { createElector } from "../src/controller/elector.js"
import { labelsKey } from "../src/controller/keys.js"
import { act } from "../src/controller/verbs.js"
import { decisionLogFile } from "../src/decision-log/file.js"
import { readDecisionLog } from "../src/decision-log/read.js"
import { rulesEngine } from "../src/engines/rules.js"
import { ERROR_CODES, type SerinErrorCode } from "../src/errors.js"
import { releaseBundles } from "../src/release/bundles.js"
import { releaseDirectory } from "../src/release/load.js"
import { parseState } from "../src/rollout/state.js"
import { prometheusSource } from "../src/sources/prometheus.js"
import { storeSink } from "../src/sources/store-sink.js"
import { fileStore } from "../src/stores/file.js"
import { httpStore } from "../src/stores/http.js"
import { memoryStore } from "../src/stores/memory.js"
import { trustedStore } from "../src/stores/trusted.js"
import { fakeClock } from "../src/testing/fake-clock.js"
import { parseCalls } from "../src/testing/calls.js"
import { messageWith } from "./channels/message.js"
import { NAME, useBench } from "./cli/harness.js"
import { readPage, tableRows } from "./docs/pages.js"
import { harness, idOn, stateWith, T0 } from "./guard/harness.js"
import { keyPair, trusting } from "./signing/keys.js"
import { fakePrometheus, scraped } from "./sources/fake-prometheus.js"
import { createStratum } from "../src/evidence/cells.js"

// As where it is not installed.
vi.mock("rotating-file-stream", () => {
  throw new Error("not installed")
})

const bench = useBench()
const at = (...names: string[]): string => join(bench().cwd, ...names)
const engines = [rulesEngine()]
const ana = { kind: "human", id: "ana" } as const
const prometheus = (fetch: typeof globalThis.fetch) =>
  prometheusSource({ url: "http://prometheus.example", rollout: NAME, clock: fakeClock(T0), fetch })

const SENT = { signal: new AbortController().signal, idempotencyKey: "demo/1/5" }

/** What the command line says with `--json` when it fails. */
async function typed(...argv: string[]): Promise<never> {
  const { doc } = await bench().json(...argv)
  throw doc["error"] as unknown
}

async function drained(entries: AsyncIterable<unknown>): Promise<void> {
  for await (const entry of entries) void entry
}

interface Failure {
  /** Through a door that users have. */
  readonly provoke: () => unknown
  /** What its message and its problems name: where, which rule, which value, what to do. */
  readonly names: readonly (string | RegExp)[]
}

/** A record, so that a code that is added and provoked by nobody does not compile. */
const FAILURES: Readonly<Record<SerinErrorCode, Failure>> = {
  SPEC_INVALID: {
    provoke: async () => {
      const yaml = await bench().read("safety/rollout.yaml")
      await bench().write("safety/rollout.yaml", yaml.replace("traffic_percentage: 5", "traffic_percentage: 105"))
      return typed("validate")
    },
    names: ["safety/rollout.yaml:7:23", "canary.traffic_percentage", "0.01", "100", "105"],
  },
  STATE_INVALID: {
    provoke: () => parseState('{"format":"serin/state/1","revision":-1}'),
    names: ["revision", ">=", "rollout"],
  },
  STATE_UNTRUSTED: {
    provoke: async () => {
      const store = memoryStore()
      await store.compareAndSet("demo/state", 0, "{}")
      return trustedStore(store, { trustedKeys: trusting(keyPair()) }).get("demo/state")
    },
    names: ["demo/state, revision 1", "not trusted", "`serin sign`"],
  },
  RULES_INVALID: {
    provoke: () =>
      rulesEngine().compile([{ path: "rules.yaml", text: "rules: [{ id: a, action: x, effect: perhaps }]" }]),
    names: ["rules.yaml:1:37", "rule `a`", "`effect`", "`perhaps`", "`allow`, `deny`, `escalate`"],
  },
  RELEASE_INVALID: {
    provoke: async () => {
      await bench().write("safety/releases/1.5.0/release.yaml", 'version: "1.5.1"\npolicy: { engine: rules }\n')
      return releaseDirectory(at("safety/releases"), { engines }).get("1.5.0")
    },
    names: ["release.yaml:1:10", "1.5.1", "1.5.0"],
  },
  RELEASE_NOT_FOUND: {
    provoke: () => releaseDirectory(at("safety/releases"), { engines }).get("1.6.0"),
    names: ["1.6.0", "safety/releases", "1.4.0, 1.5.0"],
  },
  RELEASE_UNTRUSTED: {
    provoke: () => releaseDirectory(at("safety/releases"), { engines, trustedKeys: trusting(keyPair()) }).get("1.4.0"),
    names: ["1.4.0", "not signed", /sign/],
  },
  RELEASE_UNAVAILABLE: {
    provoke: () =>
      releaseBundles({ from: "https://127.0.0.1:9/{version}.tgz", engines, trustedKeys: trusting(keyPair()) }).get("1"),
    names: ["127.0.0.1", "private address", "allowPrivateAddresses"],
  },
  CALLS_INVALID: {
    provoke: () => parseCalls('{"session":"a","tool":"x","input":{}}\n{"session":"a"}', { path: "calls.jsonl" }),
    names: ["calls.jsonl:2", "tool"],
  },
  VERDICT_INVALID: {
    provoke: async () => {
      await bench().write("verdict.json", '{"format":"serin/verdict/1"}')
      return typed("verify", "verdict.json")
    },
    names: ["verdict.json", "format", "serin/verdict/2"],
  },
  LABELS_INVALID: {
    provoke: async () => {
      await bench().serin("start")
      const labels = { format: "serin/labels/2", rollout: NAME, generation: 1, labels: [], draws: [] }
      await bench().store.compareAndSet(labelsKey(NAME), 0, JSON.stringify(labels))
      return typed("diffs", "--label", "p-1", "--as", "right")
    },
    names: ["format", "serin/labels/1"],
  },
  DECISION_LOG_INVALID: {
    provoke: async () => {
      await bench().write("log/decisions.jsonl", '{"kind":"perhaps"}\n')
      return drained(readDecisionLog(at("log/decisions.jsonl")))
    },
    names: ["decisions.jsonl:1"],
  },
  DECISION_LOG_UNAVAILABLE: {
    provoke: () => drained(readDecisionLog(at("safety/none.jsonl"))),
    names: ["safety/none.jsonl"],
  },
  EVIDENCE_INVALID: {
    provoke: () => storeSink(memoryStore()).put("demo/evidence/one", '{"format":"serin/evidence/2","sequence":0}'),
    names: ["sequence", ">=1"],
  },
  EVIDENCE_MISSING: {
    provoke: () => prometheus(fakePrometheus(() => T0 / 1000).fetch).read({ generation: 3 }),
    names: ["http://prometheus.example", "generation 3", NAME],
  },
  EVIDENCE_STALE: {
    provoke: () => {
      const server = fakePrometheus(() => T0 / 1000)
      const evidence = { generation: 3, strata: [createStratum()] }
      server.lives.push(scraped({ evidence, criteria: [] }, T0 / 1000 - 400, NAME))
      return prometheus(server.fetch).read({ generation: 3 })
    },
    names: ["http://prometheus.example", "has scraped no process since 2025-12-31T23:53:20"],
  },
  EVIDENCE_UNAVAILABLE: {
    provoke: () => prometheus(async () => new Response("hello", { status: 502 })).read({ generation: 3 }),
    names: ["http://prometheus.example", "502"],
  },
  STORE_UNAVAILABLE: {
    provoke: () => fileStore({ dir: at("safety/rollout.yaml") }).get("demo/state"),
    names: ["safety/rollout.yaml", "ENOTDIR", "folder"],
  },
  STORE_UNAUTHORIZED: {
    provoke: () => httpStore({ url: "http://127.0.0.1:9/v1", token: () => "not a token" }).get("demo/state"),
    names: ["token()", "A-Z"],
  },
  STORE_CONFLICT: {
    provoke: async () => {
      await bench().serin("start")
      const busy = { ...bench().store, compareAndSet: async () => ({ ok: false, current: null }) as const }
      return act(busy, NAME, { type: "pause", actor: ana, reason: "lunch" }, () => T0)
    },
    names: [NAME, "20 times", "try again"],
  },
  STORE_AMBIGUOUS: {
    provoke: async () => {
      const store = fileStore({ dir: at("state") })
      await store.compareAndSet("demo/state", 0, "one")
      const folder = at("state/demo/state")
      let looks = 0
      // Others go on, and prune what this one is about to write, between its look and its write.
      const signal = new Proxy(new AbortController().signal, {
        get(target, property) {
          if (property === "aborted" && ++looks === 2) {
            rmSync(join(folder, "0000000001.json"))
            writeFileSync(join(folder, ".pruned"), "")
            for (const revision of [8, 9]) writeFileSync(join(folder, `000000000${revision}.json`), "theirs")
          }
          return Reflect.get(target, property, target) as unknown
        },
      })
      return store.compareAndSet("demo/state", 1, "two", { signal })
    },
    names: ["state/demo/state", "revision 2"],
  },
  NOT_LEADING: {
    provoke: () => {
      const id = "host/1"
      const elector = createElector({
        store: memoryStore(),
        rollout: NAME,
        id,
        clock: fakeClock(T0),
        state: () => null,
      })
      elector.fence(stateWith())
    },
    names: ["host/1", NAME],
  },
  NOTIFY_INVALID: {
    provoke: async () => {
      await bench().write("safety/notify.yaml", "channels:\n  - slack: { url: { env: NO_SUCH_NAME } }\n")
      return typed("notify")
    },
    names: ["safety/notify.yaml:2:26", "NO_SUCH_NAME"],
  },
  CHANNEL_UNAVAILABLE: {
    provoke: () => command({ run: [process.execPath, "-e", "process.exit(3)"] }).send(messageWith(), SENT),
    names: [process.execPath, "3"],
  },
  CHANNEL_REFUSED: {
    provoke: () => command({ run: [at("no-such-program")] }).send(messageWith(), SENT),
    names: ["no-such-program", "ENOENT"],
  },
  TRANSITION_REFUSED: {
    provoke: async () => {
      await bench().serin("start")
      return typed("approve", "--reason", "fine")
    },
    names: [NAME, "approval", "promote"],
  },
  SESSION_ID_INVALID: {
    provoke: () => harness().guard.session(""),
    names: ["session id", "non-empty string", "got an empty string", "guard.sessionless"],
  },
  LOCKED_DOWN: {
    provoke: () => {
      const { guard } = harness({}, stateWith({ kill: "deny" }))
      const answer = () => ({ permitted: true })
      return guard.wrap(answer, answer, { session: () => "a", outcome: () => "allow" })()
    },
    names: ["kill switch", "wrap()", "denied"],
  },
  TOOL_DENIED: {
    provoke: () => {
      const { guard } = harness({ stable: () => ({ outcome: "deny", reason: "refunds are closed" }) })
      return guard.tool("refund", () => "done", { session: idOn(guard, "stable") })()
    },
    names: ["not allowed", "refunds are closed"],
  },
  TOOL_OUTPUT_WITHHELD: {
    provoke: () => {
      const scanners = [{ name: "pii", scan: () => ({ result: "blocked" }) as const }]
      const releases = new Map([
        ["1.0.0", { version: "1.0.0", policy: { evaluate: () => "allow" as const }, scanners }],
      ])
      const { guard } = harness({}, null, { releases, bootstrap: "1.0.0" })
      return guard.tool("read", () => "a secret", { session: "a", scanOutput: true })()
    },
    names: ["read was run", "a scanner blocked it", "Do not retry"],
  },
  LIBRARY_MISSING: {
    provoke: () => decisionLogFile({ path: at("log/decisions.jsonl") }),
    names: ["decisionLogFile()", "rotating-file-stream", "npm install"],
  },
  USAGE: {
    provoke: () => typed("rolback"),
    names: ["rolback", "rollback"],
  },
}

beforeEach(async () => void (await bench().serin("init")))

describe("every error code", () => {
  it.each(ERROR_CODES)("%s is met by users, and its message names what is wrong", async (code) => {
    const { provoke, names } = FAILURES[code]
    const thrown: unknown = await Promise.resolve()
      .then(provoke)
      .then((value) => new Error(`nothing was thrown, but answered: ${JSON.stringify(value)}`))
      .catch((error: unknown) => error)
    const { message = "", problems = [], ...rest } = thrown as { message?: string; problems?: readonly object[] }
    expect({ code: (thrown as { code?: string }).code, message, rest }).toMatchObject({ code })
    const told = [message, ...problems.flatMap((problem) => Object.values(problem) as string[])].join("\n")
    expect(
      names.filter((name) => !(typeof name === "string" ? told.includes(name) : name.test(told))),
      told,
    ).toEqual([])
  })

  it("says in the reference when it comes and what to do", () => {
    const rows = tableRows(readPage("reference/errors.md"))
    const [, when = "", fix = ""] = rows.find(([first]) => first === "code") ?? []
    expect([when, fix]).toEqual(["when", "what to do"])
    const short = ERROR_CODES.filter((code) => {
      const [, came = "", help = ""] = rows.find(([first]) => first === `\`${code}\``) ?? []
      return came.length < 20 || help.length < 15
    })
    expect(short).toEqual([])
  })
})
