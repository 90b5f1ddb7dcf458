import { execFile } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { describe, expect, it } from "vitest"
import { parse } from "yaml"
import { firstColumn, readPage } from "../docs/pages.js"
import { hasServer, skipNote } from "../servers/server.js"

const run = promisify(execFile)
const path = fileURLToPath(new URL("../../prometheus/serin.rules.yml", import.meta.url))

interface Rule {
  readonly record?: string
  readonly alert?: string
  readonly expr: string
}
const { groups } = parse(readFileSync(path, "utf8")) as { groups: { name: string; rules: Rule[] }[] }
const rules = groups.flatMap((group) => group.rules)

const phase = (name: string): string => `serin_rollout_phase{serin_rollout="demo", serin_phase="${name}"}`

/** What each alert is about: series a minute apart, and when it must be firing. */
const CASES: Readonly<Record<string, { readonly series: Readonly<Record<string, string>>; readonly at: string }>> = {
  SerinCanaryStopped: { series: { [phase("rolled_back")]: "1x5" }, at: "5m" },
  SerinCanaryHeld: {
    series: { [phase("canary")]: "1x1500", 'serin_rollout_weight{serin_rollout="demo"}': "0.05x1500" },
    at: "25h",
  },
  SerinFuseBlown: { series: { 'serin_fuse{serin_rollout="demo", instance="a"}': "0 1x5" }, at: "5m" },
  SerinStateOld: { series: { 'serin_rollout_state_age{serin_rollout="demo", instance="a"}': "0+60x10" }, at: "10m" },
  SerinEvidenceMissing: { series: { [phase("shadow")]: "1x20" }, at: "15m" },
  SerinEvidenceIncomplete: {
    series: {
      'serin_evidence_counted_total{serin_rollout="demo", job="j", instance="a"}': "0+5x3 stale",
      'up{job="j", instance="a"}': "1x3 0x20",
    },
    at: "10m",
  },
  SerinEvidenceStopped: {
    series: { 'serin_evidence_counted_total{serin_rollout="demo", instance="a"}': "7x60" },
    at: "50m",
  },
}

/** The same things as they should be. */
const WELL = {
  [phase("canary")]: "1x60",
  'serin_rollout_weight{serin_rollout="demo"}': "0.05x60",
  'serin_fuse{serin_rollout="demo", instance="a"}': "0x60",
  'serin_rollout_state_age{serin_rollout="demo", instance="a"}': "1x60",
  'serin_evidence_counted_total{serin_rollout="demo", job="j", instance="a"}': "0+5x60",
  'up{job="j", instance="a"}': "1x60",
}

const alertNames = rules.flatMap(({ alert }) => alert ?? [])

describe("the rules for Prometheus", () => {
  it("are explained, each of them, and no other", () => {
    const named = firstColumn(readPage("reference/sources/prometheus.md")).filter((word) =>
      /^(Serin[A-Z]|serin:)/.test(word),
    )
    expect(named).toEqual(rules.map(({ record, alert }) => record ?? alert))
  })

  it("have a case for each alert", () => {
    expect(Object.keys(CASES)).toEqual(alertNames)
  })

  skipNote("promtool", 2)

  it.skipIf(!hasServer("promtool"))("are what Prometheus itself takes for rules, without a warning", async () => {
    await expect(run("promtool", ["check", "rules", "--lint=all", "--lint-fatal", path])).resolves.toMatchObject({
      stdout: expect.stringContaining(`SUCCESS: ${rules.length} rules found`),
    })
  })

  it.skipIf(!hasServer("promtool"))("alert for what they are about, and for nothing where all is well", async () => {
    const labelled = (series: Readonly<Record<string, string>>) =>
      Object.entries(series).map(([name, values]) => ({ series: name, values }))
    const tests = [
      ...Object.entries(CASES).map(([alertname, { series, at }]) => ({
        interval: "1m",
        input_series: labelled(series),
        // Who fires for what: promtool compares all labels, so they are counted by name instead.
        promql_expr_test: [
          {
            expr: `count by (alertname) (ALERTS{alertname="${alertname}", alertstate="firing"})`,
            eval_time: at,
            exp_samples: [{ labels: `{alertname="${alertname}"}`, value: 1 }],
          },
        ],
      })),
      {
        interval: "1m",
        input_series: labelled(WELL),
        promql_expr_test: ["10m", "59m"].map((at) => ({ expr: "ALERTS", eval_time: at, exp_samples: [] })),
      },
    ]
    const dir = mkdtempSync(join(tmpdir(), "serin-rules-"))
    try {
      const file = join(dir, "tests.yml")
      writeFileSync(file, JSON.stringify({ rule_files: [path], evaluation_interval: "5m", tests }))
      await expect(run("promtool", ["test", "rules", file])).resolves.toMatchObject({
        stdout: expect.stringContaining("SUCCESS"),
      })
    } finally {
      rmSync(dir, { recursive: true })
    }
  })
})
