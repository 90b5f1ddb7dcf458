import { spawn, type ChildProcess } from "node:child_process"
import { once } from "node:events"
import { createInterface, type Interface } from "node:readline"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { judge } from "../../src/analysis/judge.js"
import { mergePacked, readPacked } from "../../src/evidence/packed.js"
import type { Evidence } from "../../src/model/evidence.js"
import type { Verdict } from "../../src/model/verdict.js"
import { prometheusSource } from "../../src/sources/prometheus.js"
import { bundled } from "../bundled.js"
import { startPrometheus } from "../servers/prometheus.js"
import { expressions } from "../docs/grafana-panels.js"
import { hasServer, skipNote, type TestServer } from "../servers/server.js"
import { scrapedState } from "./scraped-state.js"

const PROCESS = "test/sources/scraped-process.ts"
const RULES = fileURLToPath(new URL("../../prometheus/serin.rules.yml", import.meta.url))
const state = scrapedState()

skipNote("prometheus", 5)

describe.skipIf(!hasServer("prometheus"))("a fleet that a real Prometheus scrapes", () => {
  const path = bundled(PROCESS)
  const running = new Set<ChildProcess>()
  let prometheus: TestServer

  interface Scraped {
    readonly port: number
    /** Play sessions, and answer the evidence of this life. */
    play(sessions: number): Promise<Uint8Array>
    kill(): Promise<void>
  }

  async function start(seed: number, exportBy: "producer" | "meter", port = 0): Promise<Scraped> {
    const child = spawn(process.execPath, [path(PROCESS), JSON.stringify({ seed, port, exportBy })], {
      stdio: ["pipe", "pipe", "inherit"],
    })
    running.add(child)
    const lines = createInterface({ input: child.stdout })
    const listening = (await line(lines)) as { port: number }
    return {
      port: listening.port,
      async play(sessions) {
        child.stdin.write(`${sessions}\n`)
        const { packed } = (await line(lines)) as { packed: string }
        return Buffer.from(packed, "base64")
      },
      async kill() {
        child.kill("SIGKILL")
        await once(child, "exit")
        running.delete(child)
      },
    }
  }

  const line = async (lines: Interface): Promise<unknown> => {
    const [text] = (await once(lines, "line")) as [string]
    return JSON.parse(text)
  }

  const verdictOn = (evidence: Evidence): Verdict =>
    judge({
      criteria: state.spec.criteria,
      falseAlarmRate: state.spec.falseAlarmRate,
      ramp: state.ramp,
      shadow: true,
      at: 0,
      evidence,
    })
  const local = (lives: readonly Uint8Array[]): Verdict => verdictOn(mergePacked(1, lives.map(readPacked)))

  const source = (over: object = {}) =>
    prometheusSource({
      url: `http://127.0.0.1:${prometheus.port}`,
      rollout: "demo",
      maxAgeMs: 2000,
      endedAfterMs: 3000,
      ...over,
    })

  /** Ask until it is so; what does not come in 10 s does not come. */
  async function until<T>(ask: () => Promise<T>, isSo: (answer: T) => boolean): Promise<T> {
    const before = performance.now()
    for (;;) {
      const answer = await ask()
      if (isSo(answer) || performance.now() - before > 10_000) return answer
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }

  /** Read until the verdict is as expected; else answer the last one. */
  const readUntil = (from: ReturnType<typeof source>, expected: Verdict): Promise<Verdict | string> =>
    until(
      () =>
        from.read({ generation: 1 }).then(
          (evidence) => verdictOn({ ...evidence!, gap: undefined }),
          (error: unknown) => String(error),
        ),
      (verdict) => JSON.stringify(verdict) === JSON.stringify(expected),
    )

  async function query(promql: string): Promise<{ metric: Record<string, string>; value: [number, string] }[]> {
    const url = new URL("/api/v1/query", `http://127.0.0.1:${prometheus.port}`)
    url.searchParams.set("query", promql)
    const body = (await (await fetch(url)).json()) as { data: { result: [] } }
    return body.data.result
  }

  let first: Scraped
  let second: Scraped

  beforeAll(async () => {
    ;[first, second] = await Promise.all([start(1, "producer"), start(2, "meter")])
    prometheus = await startPrometheus([first.port, second.port], [RULES])
  })
  afterAll(async () => {
    for (const child of running) child.kill("SIGKILL")
    await prometheus?.destroy()
  })

  it("gives the verdict of the merged local evidence, number by number, also across a restart", async () => {
    const before = await Promise.all([first.play(300), second.play(200)])
    const lasting = source()
    const early = await readUntil(lasting, local(before))
    expect(early).toEqual(local(before))
    expect(early).toMatchObject({ result: "breach" })

    await first.kill()
    const again = await start(3, "producer", first.port)
    first = again
    const lives = [before[0]!, await again.play(150), await second.play(100)]
    expect(await readUntil(lasting, local(lives))).toEqual(local(lives))

    // The first life leaves what is recent. A source that saw it end has kept it, and one that has just been made finds it.
    const recent = `count(count by (serin_process) (last_over_time(serin_evidence_counted_total[3s])))`
    await until(
      async () => [await query(recent), await lasting.read({ generation: 1 })] as const,
      ([found]) => found[0]?.value[1] === "2",
    )
    expect(await readUntil(lasting, local(lives))).toEqual(local(lives))
    expect(await readUntil(source(), local(lives))).toEqual(local(lives))
  })

  it("knows one process from another that it scrapes twice", async () => {
    const [twice] = await query(`count(count by (serin_process, instance) (serin_evidence_counted_total))`)
    expect(twice?.value[1]).toBe("2")
  })

  it("evaluates the rules that are shipped", async () => {
    const asked = async (): Promise<readonly { name: string; health: string }[]> => {
      const body = (await (await fetch(`http://127.0.0.1:${prometheus.port}/api/v1/rules`)).json()) as {
        data: { groups: { rules: { name: string; health: string }[] }[] }
      }
      return body.data.groups.flatMap(({ rules }) => rules)
    }
    const rules = await until(asked, (all) => all.length > 0 && all.every(({ health }) => health !== "unknown"))
    expect(rules.filter(({ health }) => health !== "ok")).toEqual([])
    const recorded = rules.map(({ name }) => name).filter((name) => name.startsWith("serin:"))
    const found = await Promise.all(
      recorded.map((name) =>
        until(
          () => query(name),
          (series) => series.length > 0,
        ),
      ),
    )
    expect(recorded.filter((_, i) => found[i]!.length === 0)).toEqual([])
  })

  it("has something to show in every panel of the dashboard that is shipped", async () => {
    const finite = (series: Awaited<ReturnType<typeof query>>): boolean =>
      series.length > 0 && series.every(({ value }) => Number.isFinite(Number(value[1])))
    await Promise.all([first.play(20), second.play(20)])
    const asked = expressions.map(({ panel, expr }) => ({
      panel,
      expr: expr.replaceAll("$rollout", "demo").replaceAll("$__rate_interval", "1m"),
    }))
    const found = await Promise.all(asked.map(({ expr }) => until(() => query(expr), finite)))
    expect(asked.filter((_, i) => !finite(found[i]!))).toEqual([])
    const outcomes = found[asked.findIndex(({ panel }) => panel === "Canary less stable")]!
    // A canary that denies twice as much shows.
    const denied = outcomes.find(({ metric }) => metric["serin_outcome"] === "deny")
    expect(Number(denied?.value[1])).toBeGreaterThan(0)
  })

  it("shows a process that can no longer be scraped as a gap, and none that answers as stale", async () => {
    await second.kill()
    const wide = source({ endedAfterMs: 60_000 })
    const evidence = await until(
      () => wide.read(),
      // On a busy machine all samples are old for a moment, which is another gap.
      (read) => read?.gap?.detail.includes("cannot be scraped") === true,
    )
    expect(evidence?.gap).toEqual({ noData: "stale", detail: "1 of 2 processes cannot be scraped" })
    await first.kill()
    const old = await until(
      () => wide.read(),
      (read) => read?.gap?.detail.startsWith("the newest sample") === true,
    )
    expect(old?.gap?.noData).toBe("stale")
  })
})
