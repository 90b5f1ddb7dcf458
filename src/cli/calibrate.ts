import { dirname, join, resolve } from "node:path"
import { calibrate, type Calibration } from "../calibrate.js"
import { releaseDirectory } from "../release/load.js"
import type { RolloutSpec } from "../rollout/spec.js"
import { readCalls } from "../testing/calls.js"
import { z } from "zod"
import { CRITERIA } from "../model/verdict.js"
import { answers } from "./answer.js"
import { defineCommand, JSON_FLAG, PLACE_FLAGS, usage } from "./command.js"
import { ENGINES_FLAG, enginesOf } from "./engines.js"
import { EXIT } from "./exit-code.js"
import { readSpec, rolloutFileOf } from "./place.js"
import { readNumber } from "./plan.js"
import { table, type Line } from "./printer.js"

export const calibrateCommand = defineCommand({
  notes: [
    "The release is asked twice about each call; rollouts are then played from its answers, with the same release in both arms.",
  ],
  example: "serin calibrate --calls calls.jsonl --sessions-per-minute 12",
  flags: {
    rollout: PLACE_FLAGS.rollout,
    calls: { type: "string", value: "FILE", text: "recorded calls, JSON lines of { session, tool, input }" },
    release: { type: "string", value: "VERSION", text: "the release to try (default: stable of the rollout file)" },
    releases: { type: "string", value: "DIR", text: "the releases (default: releases/ beside the rollout file)" },
    "sessions-per-minute": { type: "string", value: "N", text: "your traffic, for the limits (default: 10)" },
    runs: { type: "string", value: "N", text: "rollouts that are played (default: 100)" },
    sessions: { type: "string", value: "N", text: "sessions of each (default: 400)" },
    seed: { type: "string", value: "N", text: "the same seed plays the same (default: 1)" },
    ...ENGINES_FLAG,
    ...JSON_FLAG,
  },
  answers: answers(
    "serin/calibrate/1",
    z.object({
      rollout: z.string(),
      release: z.string(),
      measured: z.object({
        calls: z.number(),
        sessions: z.number(),
        callsPerSession: z.number(),
        kish: z.number(),
        rates: z.object({ allow: z.number(), deny: z.number(), escalate: z.number(), error: z.number() }),
        churn: z.object({
          asked: z.number(),
          calls: z.number(),
          rate: z.number(),
          atMost: z.number(),
          newlyDenied: z.number(),
          newlyAllowed: z.number(),
        }),
        correlation: z.number().nullable(),
      }),
      aa: z.object({
        runs: z.number(),
        sessions: z.number(),
        looks: z.number(),
        breached: z.number(),
        breachedBy: z.partialRecord(z.enum(CRITERIA), z.number()),
        passed: z.number(),
        estimates: z.partialRecord(z.enum(CRITERIA), z.number()),
      }),
      falseAlarms: z.object({ rate: z.number(), atMost: z.number(), allowed: z.number() }),
      margins: z.array(
        z.object({
          criterion: z.enum(CRITERIA),
          written: z.number(),
          suggested: z.number().nullable(),
          reasons: z.array(z.string()),
        }),
      ),
    }),
  ),
  async run({ values, io, out }) {
    if (values.calls === undefined) throw usage("serin calibrate: say which calls were recorded, with --calls FILE")
    const options = {
      sessionsPerMinute: rateOf(values["sessions-per-minute"]),
      runs: wholeOf("runs", values.runs, 1, 10_000),
      sessions: wholeOf("sessions", values.sessions, 50, 100_000),
      seed: wholeOf("seed", values.seed, 0, 2 ** 32),
    }
    const place = rolloutFileOf(values, io)
    const spec = await readSpec(place)
    const calls = await readCalls(resolve(io.cwd, values.calls))
    const root =
      values.releases === undefined ? join(dirname(place.file), "releases") : resolve(io.cwd, values.releases)
    const version = values.release ?? spec.stable
    const release = await releaseDirectory(root, {
      engines: await enginesOf("calibrate", values.engines, io),
    }).get(version)
    const found = await calibrate(calls, { version, policy: release.policy }, { ...options, spec, signal: io.signal })
    if (values.json) out.json({ rollout: spec.rollout, release: version, ...found })
    else out.lines(linesOf(spec, version, found))
    return EXIT.ok
  },
})

function rateOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : readNumber("sessions-per-minute", text, Number.MAX_VALUE)
}

function wholeOf(flag: string, text: string | undefined, least: number, most: number): number | undefined {
  if (text === undefined) return undefined
  const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN
  if (value >= least && value <= most) return value
  throw usage(`--${flag} must be a whole number from ${least} to ${most}, got ${JSON.stringify(text)}`)
}

function linesOf(spec: RolloutSpec, version: string, { measured, aa, falseAlarms, margins }: Calibration): Line[] {
  const { calls, sessions, callsPerSession, kish, rates, churn, correlation } = measured
  const by = Object.entries(aa.breachedBy).map(([name, count]) => `${name} ${count}`)
  const within = falseAlarms.rate <= falseAlarms.allowed
  return [
    [{ text: spec.rollout, style: "bold" }, `: ${version} against itself, ${calls} calls of ${sessions} sessions`],
    ...table([
      ["  calls a session", `${digits(callsPerSession)}; in the session of the average call ${digits(kish)}`],
      ["  answers", `deny ${percent(rates.deny)}, escalate ${percent(rates.escalate)}, error ${percent(rates.error)}`],
      [
        "  churn",
        churn.asked < 2
          ? "not known: its policy is stateful, so it was asked once"
          : `${percent(churn.rate)} of calls (${churn.calls}) were answered in another way when asked again; at most ${percent(churn.atMost)}`,
      ],
      [
        "  correlation",
        correlation === null
          ? "not known: too few denials"
          : `calls of a session are alike by ${digits(correlation)} in being denied`,
      ],
      [
        "  false alarms",
        {
          text: `${aa.breached} of ${aa.runs} rollouts of ${aa.sessions} sessions, judged ${aa.looks} times each: at most ${percent(falseAlarms.atMost)}, allowed are ${percent(falseAlarms.allowed)}${by.length === 0 ? "" : ` (${by.join(", ")})`}`,
          style: within ? "green" : "red",
        },
      ],
      ["  passes", `${aa.passed} of ${aa.runs} had passed at their end`],
    ]),
    [],
    ...table([
      ["criterion", "written", "suggested", "why"],
      ...margins.map(({ criterion, written, suggested, reasons }): Line => {
        return [criterion, `${written}`, suggested === null ? "-" : `${suggested}`, reasons.join("; ")]
      }),
    ]),
  ]
}

const digits = (value: number): string => String(Number(value.toPrecision(3)))
const percent = (rate: number): string => `${digits(rate * 100)} %`
