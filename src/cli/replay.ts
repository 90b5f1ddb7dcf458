import { dirname, join, resolve } from "node:path"
import type { Criterion, CriterionName } from "../model/verdict.js"
import { releaseDirectory } from "../release/load.js"
import { replayCalls } from "../replay.js"
import { streamCalls } from "../testing/call-stream.js"
import { REPLAY } from "./replay-answer.js"
import { defineCommand, JSON_FLAG, PLACE_FLAGS, usage } from "./command.js"
import { ENGINES_FLAG, enginesOf } from "./engines.js"
import { EXIT } from "./exit-code.js"
import { readSpec, rolloutFileOf } from "./place.js"
import { MODULES_FLAG, modulesOf, releaseAt } from "./release-at.js"
import { replayProgress } from "./replay-progress.js"
import { replayLines } from "./replay-view.js"
import { KEYS_FLAGS, readTrustedKeys } from "./trusted-keys.js"

const BUDGETS = {
  "newly-denied-max": "newly_denied_rate_max",
  "newly-allowed-max": "newly_allowed_rate_max",
  "error-max": "error_rate_max",
} as const satisfies Readonly<Record<string, CriterionName>>

export const replayCommand = defineCommand({
  notes: [
    "RELEASE is a directory, a packed release, or a version below --releases. What is not named comes from the rollout file, whose criteria are the budgets then.",
    "--calls takes JSON lines of { session, tool, input, output? }, or a decision log; .gz or not. Where releases have scanners, they scan each output that is a text.",
    "Monitors do not run. Without --keys it is not checked who signed the releases.",
  ],
  example: "serin replay --calls calls.jsonl --stable safety/releases/1.4.0 --canary safety/releases/1.5.0",
  flags: {
    calls: { type: "string", value: "FILE", text: "recorded calls" },
    stable: { type: "string", value: "RELEASE", text: "default: stable of the rollout file" },
    canary: { type: "string", value: "RELEASE", text: "default: the canary's release of the rollout file" },
    rollout: PLACE_FLAGS.rollout,
    releases: { type: "string", value: "DIR", text: "the releases (default: releases/ beside the rollout file)" },
    "newly-denied-max": { type: "string", value: "RATE", text: "a budget, from 0 to 1, in place of the file's" },
    "newly-allowed-max": { type: "string", value: "RATE", text: "the same for calls that only the canary allows" },
    "error-max": { type: "string", value: "RATE", text: "the same for calls on which the canary fails" },
    ...KEYS_FLAGS,
    ...MODULES_FLAG,
    ...ENGINES_FLAG,
    ...JSON_FLAG,
  },
  answers: REPLAY,
  async run({ values, io, out }) {
    if (values.calls === undefined) throw usage("serin replay: say which calls were recorded, with --calls FILE")
    const place = rolloutFileOf(values, io)
    const asksFile = values.rollout !== undefined || values.stable === undefined || values.canary === undefined
    const named = namedBudgets(values)
    const spec = asksFile ? await readSpec(place) : null
    const root =
      values.releases === undefined ? join(dirname(place.file), "releases") : resolve(io.cwd, values.releases)
    const trustedKeys = await readTrustedKeys("replay", values, io)
    const options = {
      engines: await enginesOf("replay", values.engines, io),
      trustedKeys,
      modules: modulesOf(values.modules),
    }
    const source = releaseDirectory(root, options)
    const load = (named: string | undefined, written: string | undefined) =>
      named === undefined ? source.get(written ?? "") : releaseAt(named, root, options, io)
    const stable = await load(values.stable, spec?.stable)
    const canary = await load(values.canary, spec?.canary)
    const criteria = [
      ...(spec?.criteria ?? []).filter(({ name }) => !named.some((budget) => budget.name === name)),
      ...named,
    ]
    const path = resolve(io.cwd, values.calls)
    const calls = streamCalls(path)
    const progress = await replayProgress(path, io)
    const close = () => Promise.all([stable, canary].map((release) => release.close?.()))
    const report = await replayCalls({
      stable,
      canary,
      calls,
      criteria,
      signal: io.signal,
      onProgress: (done) => progress?.show(done, calls),
    }).finally(() => {
      progress?.clear()
      return close()
    })
    if (values.json) out.json(report)
    else out.lines(replayLines(report))
    return report.result === "over" || report.result === "no_data" ? EXIT.overBudget : EXIT.ok
  },
})

function namedBudgets(values: Readonly<Record<keyof typeof BUDGETS, string | undefined>>): readonly Criterion[] {
  return Object.entries(BUDGETS).flatMap(([flag, name]): Criterion[] => {
    const text = values[flag as keyof typeof BUDGETS]
    if (text === undefined) return []
    const max = /^(\d{1,9}(\.\d{1,12})?|\.\d{1,12})$/.test(text) ? Number(text) : Number.NaN
    if (!(max <= 1)) throw usage(`--${flag} must be a rate from 0 to 1, got ${JSON.stringify(text)}`)
    return [{ name, max, mode: "enforce" }]
  })
}
