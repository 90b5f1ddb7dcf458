import type { Attributes } from "@opentelemetry/api"
import { createEvidenceMetrics } from "../../src/telemetry/evidence-metrics.js"
import type { CountedEvidence } from "../../src/telemetry/evidence-metrics.js"

/** One life of a process, as it was last scraped. */
export interface Scraped {
  readonly id: string
  readonly series: readonly {
    readonly name: string
    readonly labels: Readonly<Record<string, string>>
    value: number
  }[]
  /** Seconds since the epoch. */
  at: number
  up: boolean
}

type Labels = Readonly<Record<string, string>>
interface Result {
  readonly metric: Labels
  readonly value: readonly [number, string]
}

/** Scrape evidence as a process of its own exports it. */
export function scraped(counted: CountedEvidence, at: number, rollout = "demo"): Scraped {
  const base: Attributes = { "serin.rollout": rollout }
  const readings = createEvidenceMetrics(
    () => counted,
    base,
    (what) => void console.error(what),
  ).read()
  const series = readings.flatMap(({ name, points }) =>
    points.map(({ attributes, value }) => ({
      name: `${promName(name)}_total`,
      labels: Object.fromEntries(Object.entries(attributes).map(([key, label]) => [promName(key), String(label)])),
      value,
    })),
  )
  return { id: series[0]!.labels["serin_process"]!, series, at, up: true }
}

const promName = (name: string): string => name.replaceAll(".", "_")

/**
 * Answers the source's own queries from what was scraped. It does not know PromQL: which query it is, it sees by the words in it. That the
 * real one answers them in the same way is shown with a real one.
 */
export function fakePrometheus(now: () => number) {
  const lives: Scraped[] = []
  const asked: string[] = []
  let tamper: (results: Result[]) => unknown = success

  function answer(query: string, at: number): Result[] {
    const seconds = Number(/\[(\d+)s[\]:]/.exec(query)![1])
    const wanted = new Map(
      [...query.matchAll(/(serin_\w+|env)="([^"]*)"/g)].map(([, label, value]) => [label!, value!]),
    )
    const matches = (labels: Labels): boolean => [...wanted].every(([label, value]) => labels[label] === value)
    const heard = lives
      .filter((life) => life.at > at - seconds && life.at <= at)
      .map((life) => ({ ...life, series: life.series.filter(({ labels }) => matches(labels)) }))
      .filter(({ series }) => series.length > 0)
    const result = (metric: Labels, value: number): Result => ({ metric, value: [at, String(value)] })
    const counted = heard.flatMap(({ series }) => series.filter(({ name }) => name === "serin_evidence_counted_total"))
    if (query.startsWith("group by (serin_generation)")) {
      const generations = new Set(counted.map(({ labels }) => labels["serin_generation"]!))
      return [...generations].map((generation) => result({ serin_generation: generation }, 1))
    }
    const results: Result[] = []
    if (query.startsWith("sum by")) {
      const sums = new Map<string, { metric: Labels; value: number }>()
      for (const { series } of heard) {
        for (const { name, labels, value } of series) {
          if (name === "serin_evidence_counted_total") continue
          const { serin_rollout: _r, serin_process: _p, serin_generation: _g, ...kept } = labels
          const metric = { __name__: name, ...kept }
          const key = JSON.stringify(Object.entries(metric).sort())
          sums.set(key, { metric, value: (sums.get(key)?.value ?? 0) + value })
        }
      }
      for (const { metric, value } of sums.values()) results.push(result(metric, value))
    }
    for (const { name, labels, value } of counted) {
      results.push(result({ __name__: name, serin_process: labels["serin_process"]! }, value))
    }
    const part = (name: string): boolean => query.includes(`"part", "${name}"`)
    if (part("seen")) {
      for (const { id, at: seen } of heard) results.push(result({ serin_process: id, part: "seen" }, seen))
    }
    for (const [name, isUp] of [
      ["up", true],
      ["down", false],
    ] as const) {
      const targets = heard.filter(({ up }) => up === isUp).length
      if (part(name) && targets > 0) results.push(result({ part: name }, targets))
    }
    return results
  }

  function success(results: Result[]): unknown {
    return { status: "success", data: { resultType: "vector", result: results } }
  }

  return {
    lives,
    asked,
    success,
    /** Change what is answered from now on. Null: as it is. */
    tamper: (next: ((results: Result[]) => unknown) | null) => void (tamper = next ?? success),
    fetch: ((_url: unknown, init: RequestInit) => {
      const form = new URLSearchParams(init.body as string)
      const query = form.get("query")!
      asked.push(query)
      const body = tamper(answer(query, Number(form.get("time") ?? now())))
      return Promise.resolve(body instanceof Response ? body : new Response(JSON.stringify(body)))
    }) as typeof fetch,
  }
}
