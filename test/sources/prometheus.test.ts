import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { judge } from "../../src/analysis/judge.js"
import { isSerinError } from "../../src/errors.js"
import {
  createStratum,
  mergeEvidence,
  recordEvaluation,
  recordObservation,
  recordPair,
  recordPairAfter,
  recordScan,
  recordScanPair,
} from "../../src/evidence/cells.js"
import { CELLS, type Evidence, type Stratum } from "../../src/model/evidence.js"
import { SCAN_RESULTS } from "../../src/model/decision.js"
import { CRITERIA, type Criterion, type Verdict } from "../../src/model/verdict.js"
import { prometheusSource, type PrometheusSourceOptions } from "../../src/sources/prometheus.js"
import { fakeClock } from "../../src/testing/fake-clock.js"
import { sfc32 } from "../../src/testing/sfc32.js"
import { runs } from "../runs.js"
import { fakePrometheus, scraped, type Scraped } from "./fake-prometheus.js"

const T0 = 1_770_000_000
const RATES: Criterion[] = CRITERIA.filter((name) => !name.includes("latency")).map((name) => ({
  name,
  max: name === "newly_allowed_rate_max" ? 0 : 0.02,
  mode: "enforce",
}))
const LATENCIES: Criterion[] = [
  { name: "latency_p99_delta_max", max: 50, mode: "enforce" },
  { name: "scan_latency_p99_delta_max", max: 20, mode: "enforce" },
]
const ALL = [...RATES, ...LATENCIES]

/** Sessions of one process, from before the ramp and of a stage. */
function traffic(seed: number, sessions: number, over: { denies?: number; slowMs?: number } = {}): Evidence {
  const random = sfc32(seed)
  const strata = [createStratum(), createStratum()]
  for (let n = 0; n < sessions; n++) {
    const stratum = strata[n % 10 === 0 ? 0 : 1]!
    const arm = n % 10 !== 0 && random() < 0.5 ? 1 : 0
    play(stratum, arm, Math.floor(random() * 64), random, over)
  }
  return { generation: 3, strata }
}

function play(
  stratum: Stratum,
  arm: 0 | 1,
  cohort: number,
  random: () => number,
  { denies = 0.05, slowMs = 0 }: { denies?: number; slowMs?: number },
): void {
  for (let call = 0; call < 8; call++) {
    const stable = random() < 0.05 ? 1 : random() < 0.02 ? 3 : 0
    const canary = random() < denies ? 1 : stable
    const ms = 2 + 300 * random() ** 6
    const outcome = arm === 0 ? stable : canary
    recordEvaluation(stratum, arm, cohort, outcome, ms + arm * slowMs, call === 0)
    if (arm === 0) recordPair(stratum, cohort, stable, canary, ms, ms * (0.9 + 0.2 * random()) + slowMs, call === 0)
    else recordPairAfter(stratum, cohort, stable, canary)
    const result = SCAN_RESULTS[random() < 0.03 ? 1 + Math.floor(3 * random()) : 0]!
    recordScan(stratum, arm, cohort, result, ms / 3, call === 0)
    if (arm === 0) recordScanPair(stratum, cohort, SCAN_RESULTS.indexOf(result), 0, ms / 3, ms / 3, call === 0)
    recordObservation(stratum, arm, cohort, random() < 0.01, call === 0)
  }
}

function verdictOn(evidence: Evidence, criteria: readonly Criterion[]): Verdict {
  const ramp = [{ weightBp: 5000 }]
  return judge({ criteria, evidence, ramp, shadow: true, falseAlarmRate: 0.05, at: 0 })
}

function setUp(options: Partial<PrometheusSourceOptions> = {}) {
  const time = { now: T0 }
  const server = fakePrometheus(() => time.now)
  const clock = fakeClock()
  const source = prometheusSource({
    url: "http://prometheus.example:9090/prefix",
    rollout: "demo",
    fetch: server.fetch,
    clock,
    ...options,
  })
  const read = (): Promise<Evidence | null> => source.read({ generation: 3 })
  const scrape = (evidence: Evidence, criteria = RATES): Scraped => {
    const life = scraped({ evidence, criteria }, time.now)
    server.lives.push(life)
    return life
  }
  return { server, source, read, scrape, time, clock }
}

const all = (parts: readonly Evidence[]): Evidence => parts.reduce(mergeEvidence)

/** Counts by arm of what is no cohort's: the source knows their sum alone. */
const sums = (stratum: Stratum) =>
  Object.fromEntries(
    Object.entries(stratum).map(([name, counts]) => [name, (counts as Float64Array).reduce((a, b) => a + b, 0)]),
  )

describe("evidence that comes by Prometheus", () => {
  it("gives the verdict of local evidence on every rate, number by number", async () => {
    const numbers = fc.tuple(
      fc.integer({ min: 1, max: 2 ** 31 }),
      fc.integer({ min: 1, max: 3 }),
      fc.integer({ max: 300, min: 0 }),
    )
    await fc.assert(
      fc.asyncProperty(numbers, fc.constantFrom(0.05, 0.3), async ([seed, processes, sessions], denies) => {
        const parts = Array.from({ length: processes }, (_, i) => traffic(seed + i, sessions, { denies }))
        const { read, scrape } = setUp()
        for (const part of parts) scrape(part, RATES)
        const evidence = await read()
        expect(evidence).not.toHaveProperty("gap")
        expect(verdictOn(evidence!, RATES)).toEqual(verdictOn(all(parts), RATES))
      }),
      { numRuns: runs(8) },
    )
  })

  it("is the local evidence, but for cohorts and bins that no verdict asks for", async () => {
    const local = traffic(5, 100)
    const { read, scrape } = setUp()
    scrape(local, ALL)
    const { strata } = (await read())!
    expect(strata.map(sums)).toEqual(
      local.strata.map((stratum) => {
        const errors = CELLS.indexOf("scan_error")
        const unread = stratum.cells.filter((_, i) => i % CELLS.length === errors).reduce((a, b) => a + b, 0)
        return { ...sums(stratum), cells: sums(stratum).cells! - unread }
      }),
    )
  })

  it.each([
    ["as fast", 0, "pass"],
    ["slower by a fifth of the limit", 10, "pass"],
    ["slower by twice the limit", 100, "breach"],
  ] as const)("agrees on the p99 of a canary that is %s", async (_, slowMs, result) => {
    const local = traffic(1, 1500, { slowMs })
    const { read, scrape } = setUp()
    scrape(local, ALL)
    const criteria = LATENCIES.slice(0, 1)
    const [theirs, ours] = [verdictOn((await read())!, criteria), verdictOn(local, criteria)]
    expect([theirs.criteria[0]?.result, ours.criteria[0]?.result]).toEqual([result, result])
  })

  it("never passes what local evidence breaches, nor the other way round", async () => {
    const slower = fc.integer({ min: 0, max: 160 })
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 2 ** 31 }), slower, async (seed, slowMs) => {
        const local = traffic(seed, 300, { slowMs })
        const { read, scrape } = setUp()
        scrape(local, ALL)
        const evidence = (await read())!
        const ours = verdictOn(local, ALL).criteria
        const pairs = verdictOn(evidence, ALL).criteria.map(({ result }, i) => [result, ours[i]!.result])
        expect(pairs.filter((pair) => pair.includes("pass") && pair.includes("breach"))).toEqual([])
      }),
      { numRuns: runs(5) },
    )
  })

  it("has what criteria need and nothing more", () => {
    const families = (criteria: readonly Criterion[]): string[] => [
      ...new Set(
        scraped({ evidence: traffic(1, 50), criteria }, T0).series.map(({ name }) =>
          name.replace(/^serin_evidence_(.*)_total$/, "$1"),
        ),
      ),
    ]
    const always = ["evaluations", "sessions", "comparisons", "comparisons_after", "compared_sessions", "counted"]
    expect(families(RATES.slice(0, 1)).toSorted()).toEqual(always.toSorted())
    expect(families([RATES.find(({ name }) => name === "alert_rate_delta_max")!])).toContain("alerts")
    expect(families(LATENCIES.slice(0, 1))).toContain("compared_durations")
    expect(families(LATENCIES.slice(0, 1))).not.toContain("scans")
    expect(families(ALL)).toContain("scan_compared_durations")
  })
})

describe("processes that come and go", () => {
  it("count for ever, each life once: one that starts again begins at 0 and takes nothing away", async () => {
    const parts = [traffic(1, 60), traffic(2, 40), traffic(3, 30)]
    const { read, scrape, time, server } = setUp()
    const first = scrape(parts[0]!)
    const other = scrape(parts[1]!)
    const whole = async (expected: readonly Evidence[]): Promise<void> => {
      expect(verdictOn((await read())!, RATES)).toEqual(verdictOn(all(expected), RATES))
    }
    await whole(parts.slice(0, 2))
    // The first one dies, and starts again; its last counts leave what is recent.
    for (let i = 0; i < 4; i++) {
      time.now += 100
      other.at = time.now
      if (i === 0) scrape(parts[2]!)
      else server.lives.at(-1)!.at = time.now
      await whole(parts)
    }
    expect(server.asked.filter((query) => query.includes(first.id))).toHaveLength(1)
    // It was never dead: what was kept of it must not count beside it.
    first.at = time.now
    await whole(parts)
  })

  it("are found by a source that has just been made, however long ago they ended", async () => {
    const parts = [traffic(1, 60), traffic(2, 40), traffic(3, 30), traffic(4, 20), traffic(5, 10), traffic(6, 5)]
    const { read, scrape, time, server } = setUp()
    for (const part of parts.slice(0, 5)) {
      scrape(part)
      time.now += 40_000
    }
    scrape(parts[5]!)
    expect(verdictOn((await read())!, RATES)).toEqual(verdictOn(all(parts), RATES))
    expect(server.asked.filter((query) => query.includes("serin_process="))).toHaveLength(5)
    await read()
    expect(server.asked.filter((query) => query.includes("serin_process="))).toHaveLength(5)
  })

  it("are looked for again after a time in which nothing was read", async () => {
    const parts = [traffic(1, 60), traffic(2, 40), traffic(3, 30)]
    const { read, scrape, time } = setUp()
    const lives = [scrape(parts[0]!)]
    await read()
    time.now += 2000
    lives.push(scrape(parts[1]!))
    time.now += 2000
    scrape(parts[2]!)
    expect(verdictOn((await read())!, RATES)).toEqual(verdictOn(all(parts), RATES))
  })

  it("go on being read where there are too many for one time limit", async () => {
    const { scrape, time, server } = setUp()
    for (let i = 0; i < 9; i++) scrape(traffic(i, 5))
    time.now += 5000
    scrape(traffic(99, 5))
    let left = 6
    const source = prometheusSource({
      url: "http://prometheus.example",
      rollout: "demo",
      fetch: (...args) => (left-- > 0 ? server.fetch(...args) : Promise.reject(new Error("too late"))),
    })
    await expect(source.read({ generation: 3 })).rejects.toMatchObject({ code: "EVIDENCE_UNAVAILABLE" })
    left = 100
    await source.read({ generation: 3 })
    expect(server.asked.filter((query) => query.includes("serin_process="))).toHaveLength(9)
  })

  it("of another generation, or of another rollout, count for nothing", async () => {
    const { read, scrape, server, source } = setUp()
    const local = traffic(1, 30)
    scrape(local)
    scrape({ ...traffic(2, 30), generation: 2 })
    server.lives.push(scraped({ evidence: traffic(3, 30), criteria: ALL }, T0, "another"))
    expect(verdictOn((await read())!, RATES)).toEqual(verdictOn(local, RATES))
    expect(await source.read()).toMatchObject({ generation: 3 })
  })
})

describe("no data", () => {
  it("is zero where processes answer and have counted nobody", async () => {
    const { read, scrape } = setUp()
    scrape({ generation: 3, strata: [createStratum(), createStratum()] })
    expect(verdictOn((await read())!, RATES)).toMatchObject({ result: "inconclusive", noData: "zero" })
  })

  it("is missing where the server answers and nobody exports anything", async () => {
    const { read, source } = setUp()
    await expect(read()).rejects.toMatchObject({
      code: "EVIDENCE_MISSING",
      message: expect.stringContaining("generation 3"),
    })
    await expect(source.read()).rejects.toMatchObject({ code: "EVIDENCE_MISSING" })
  })

  it("is stale where the newest sample is too old, and once nobody is left", async () => {
    const { read, scrape, time } = setUp()
    scrape(traffic(1, 50))
    time.now += 110
    expect(await read()).not.toHaveProperty("gap")
    time.now += 20
    expect(await read()).toMatchObject({ gap: { noData: "stale", detail: expect.stringContaining("2026-") } })
    time.now += 400
    await expect(read()).rejects.toMatchObject({ code: "EVIDENCE_STALE", message: expect.stringContaining("2026-") })
  })

  it("is a gap where too few processes can be scraped: nothing passes, and a breach is one", async () => {
    const { read, scrape } = setUp({ minScraped: 0.7 })
    const lives = [1, 2, 3, 4].map((seed) => scrape(traffic(seed, 60, { denies: 0.5 }), RATES))
    lives[0]!.up = false
    expect(await read()).not.toHaveProperty("gap")
    lives[1]!.up = false
    const evidence = (await read())!
    expect(evidence.gap).toEqual({ noData: "stale", detail: "2 of 4 processes cannot be scraped" })
    expect(verdictOn(evidence, RATES).result).toBe("breach")
    const healthy = setUp()
    healthy.scrape(traffic(1, 500, { denies: 0 })).up = false
    const deny = RATES.filter(({ name }) => name === "deny_rate_delta_max")
    expect(verdictOn({ ...(await healthy.read())!, gap: undefined }, deny).result).toBe("pass")
    expect(verdictOn((await healthy.read())!, deny)).toMatchObject({ result: "inconclusive", noData: "stale" })
  })

  it("is a gap where the server says that a part of it did not answer", async () => {
    const { read, scrape, server } = setUp()
    scrape(traffic(1, 50))
    server.tamper((results) => ({ ...(server.success(results) as object), warnings: ["store-2 is gone", 7] }))
    expect(await read()).toMatchObject({ gap: { noData: "errored", detail: "the server warns: store-2 is gone" } })
  })

  type Results = Parameters<Parameters<ReturnType<typeof fakePrometheus>["tamper"]>[0] & object>[0]
  const change = (results: Results, over: object): Results =>
    results.map((one, i) => (i === 3 ? { ...one, ...over } : one))
  const vector = (result: unknown): unknown => ({ status: "success", data: { resultType: "vector", result } })
  const hostile: readonly (readonly [string, (results: Results) => unknown, RegExp])[] = [
    ["an error", () => ({ status: "error", errorType: "bad_data", error: "parse error" }), /parse error/],
    ["an error with status 503", () => new Response(`{"error":"too busy"}`, { status: 503 }), /503: too busy/],
    ["HTML with status 502", () => new Response("<html>bad gateway</html>", { status: 502 }), /502/],
    ["HTML", () => new Response("<html>login</html>"), /no JSON/],
    ["nothing", () => new Response(null), /no JSON/],
    ["JSON that ends too early", (results) => new Response(JSON.stringify(vector(results)).slice(0, -5)), /no JSON/],
    ["null", () => new Response("null"), /no answer/],
    ["a list", () => [], /no answer/],
    ["a matrix", () => ({ status: "success", data: { resultType: "matrix", result: [] } }), /no vector/],
    ["a text for a result", () => vector("x"), /no vector/],
    ["data of null", () => ({ status: "success", data: null }), /no answer/],
    ["a series of null", () => vector([null]), /no answer/],
    [
      "NaN",
      (results) => vector(change(results, { value: [T0, "NaN"] })),
      /"NaN" for serin_evidence_\w+, which is no number/,
    ],
    ["+Inf", (results) => vector(change(results, { value: [T0, "+Inf"] })), /no number/],
    ["Infinity", (results) => vector(change(results, { value: [T0, "Infinity"] })), /no number/],
    ["an empty value", (results) => vector(change(results, { value: [T0, ""] })), /no number/],
    ["a number for a text", (results) => vector(change(results, { value: [T0, 3] })), /no number/],
    ["a time that is no number", (results) => vector(change(results, { value: ["x", "3"] })), /no number/],
    [
      "a histogram for a value",
      (results) => vector(change(results, { value: undefined, histogram: [] })),
      /without a sample/,
    ],
    ["a fraction", (results) => vector(change(results, { value: [T0, "0.5"] })), /0.5 for .* no count/],
    ["a negative count", (results) => vector(change(results, { value: [T0, "-1"] })), /no count/],
    ["a count beyond exact numbers", (results) => vector(change(results, { value: [T0, "1e300"] })), /no count/],
    ["labels that are no texts", (results) => vector(change(results, { metric: { __name__: 3 } })), /no text/],
    ["labels of null", (results) => vector(change(results, { metric: null })), /no answer/],
    [
      "another metric",
      (results) => vector(change(results, { metric: { __name__: "up" } })),
      /labels that no count has/,
    ],
    ["the same series twice", (results) => vector([...results, results[0]]), /twice/],
    ["a series too few", (results) => vector(results.slice(1)), /dropped on their way/],
    ["a count that fell", (results) => vector(change(results, { value: [T0, "0"] })), /dropped on their way/],
    [
      "a process too many",
      (results) => vector([...results, ...Array.from({ length: 1001 }, (_, i) => counted(`p${i}`))]),
      /more than 1000 processes/,
    ],
    ...["serin_cohort", "serin_arm", "serin_outcome", "serin_stratum"].flatMap((label) =>
      ["65", "-1", "1e1", " 1", "", "__proto__", "constructor"].map(
        (value) =>
          [
            `${label}=${JSON.stringify(value)}`,
            (results: Results) => vector(results.map((one, i) => (i === 0 ? withLabel(one, label, value) : one))),
            /labels that no count has/,
          ] as const,
      ),
    ),
  ]
  const counted = (process: string) => ({
    metric: { __name__: "serin_evidence_counted_total", serin_process: process },
    value: [T0, "1"],
  })
  const withLabel = (one: Results[number], label: string, value: string): unknown => ({
    ...one,
    metric: { ...one.metric, [label]: value },
  })

  const target = setUp()
  target.server.lives.push(scraped({ evidence: traffic(1, 20), criteria: RATES }, T0))

  it.each(hostile)("is errored for %s", async (_, tamper, message) => {
    const { read, server, clock } = target
    server.tamper(tamper)
    const error: unknown = await read().catch((thrown: unknown) => thrown)
    expect(isSerinError(error)).toBe(true)
    expect(error).toMatchObject({ code: "EVIDENCE_UNAVAILABLE", message: expect.stringMatching(message) })
    expect((error as Error).message).toContain("http://prometheus.example:9090/prefix/")
    expect(clock.pending()).toBe(0)
    server.tamper(null)
    expect(await read()).toMatchObject({ generation: 3 })
  })

  it("is errored, or evidence, for whatever JSON comes", async () => {
    const { read, server } = setUp()
    await fc.assert(
      fc.asyncProperty(fc.json(), fc.jsonValue(), async (text, value) => {
        for (const body of [
          text,
          JSON.stringify(value),
          JSON.stringify(vector(value)),
          JSON.stringify(vector([value])),
        ]) {
          server.tamper(() => new Response(body))
          const error: unknown = await read().catch((thrown: unknown) => thrown)
          expect(isSerinError(error)).toBe(true)
        }
      }),
      { numRuns: runs(30) },
    )
  })

  it("is errored for a body without end, of which no more is read than may be", async () => {
    let sent = 0
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        sent += 1
        controller.enqueue(new Uint8Array(1024))
      },
    })
    const { read } = setUp({ maxBytes: 10_000, fetch: () => Promise.resolve(new Response(body)) })
    await expect(read()).rejects.toMatchObject({ message: expect.stringContaining("more than 10000 bytes") })
    expect(sent).toBeLessThan(20)
  })

  it("is errored for a server that does not answer in time, and for a connection that is refused", async () => {
    const silent = setUp({ fetch: () => new Promise(() => {}), timeoutMs: 700 })
    const waiting = silent.read()
    await silent.clock.settle()
    silent.clock.advance(700)
    await expect(waiting).rejects.toMatchObject({
      code: "EVIDENCE_UNAVAILABLE",
      message: expect.stringContaining("700 ms"),
    })
    expect(silent.clock.pending()).toBe(0)
    const refused = Object.assign(new TypeError("fetch failed"), { cause: new Error("ECONNREFUSED") })
    const { read } = setUp({ fetch: () => Promise.reject(refused) })
    await expect(read()).rejects.toMatchObject({
      code: "EVIDENCE_UNAVAILABLE",
      message: expect.stringContaining("ECONNREFUSED"),
    })
  })

  it("is errored with the reason where no address of a name answers, of which there is but a code", async () => {
    const none = Object.assign(new AggregateError([new Error("::1"), new Error("127.0.0.1")], ""), {
      code: "ECONNREFUSED",
    })
    const { read } = setUp({ fetch: () => Promise.reject(new TypeError("fetch failed", { cause: none })) })
    await expect(read()).rejects.toThrow(/cannot be asked: ECONNREFUSED$/)
  })

  it("is errored at once where the caller gives up", async () => {
    const { source, clock } = setUp({ fetch: () => new Promise(() => {}) })
    const control = new AbortController()
    const waiting = source.read({ generation: 3, signal: control.signal })
    control.abort()
    await expect(waiting).rejects.toMatchObject({ code: "EVIDENCE_UNAVAILABLE" })
    await expect(source.read({ generation: 3, signal: control.signal })).rejects.toMatchObject({
      code: "EVIDENCE_UNAVAILABLE",
    })
    expect(clock.pending()).toBe(0)
  })
})

describe("a query", () => {
  it("goes to the query API below the address, with the headers, and follows no redirect", async () => {
    let seen: { url: string; init: RequestInit } | null = null
    const fetch = ((url: URL, init: RequestInit) => {
      seen = { url: String(url), init }
      return Promise.resolve(new Response("{}"))
    }) as typeof globalThis.fetch
    const { read } = setUp({ fetch, headers: { authorization: "Bearer x" } })
    await read().catch(() => {})
    expect(seen).toMatchObject({
      url: "http://prometheus.example:9090/prefix/api/v1/query",
      init: { method: "POST", redirect: "error", headers: { authorization: "Bearer x" } },
    })
  })

  it("cannot be broken out of by a name or a label's value", async () => {
    const hostileName = `demo", x="} or vector(1) #\n\\`
    const { read, server } = setUp({ rollout: hostileName, match: { env: `a"b` } })
    await read().catch(() => {})
    expect(server.asked[0]).toContain(`serin_rollout=${JSON.stringify(hostileName)}`)
    expect(server.asked[0]).toContain(`env="a\\"b"`)
  })

  it.each([
    [{ url: "ftp://x" }, /http or https/],
    [{ url: "prometheus:9090/" }, /http or https/],
    [{ url: "nonsense" }, /http or https/],
    [{ url: "http://user:secret@x" }, /without a name and password/],
    [{ rollout: "" }, /rollout/],
    [{ maxAgeMs: 0 }, /maxAgeMs/],
    [{ maxAgeMs: NaN }, /maxAgeMs/],
    [{ maxAgeMs: 400_000 }, /maxAgeMs must be at most endedAfterMs/],
    [{ minScraped: 1.5 }, /minScraped/],
    [{ match: { 'a"': "b" } }, /match/],
    [{ maxAge: 5 }, /did you mean maxAgeMs/],
    [{ clock: {} }, /clock/],
  ] as const)("is refused when the source is made with %j", (over, message) => {
    const options = { url: "http://x", rollout: "demo", ...over } as PrometheusSourceOptions
    expect(() => prometheusSource(options)).toThrow(message)
  })
})
