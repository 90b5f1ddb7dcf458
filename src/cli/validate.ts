import { stat } from "node:fs/promises"
import { dirname, join, relative, resolve } from "node:path"
import { isSerinError, SerinError, type Problem } from "../errors.js"
import type { Engine } from "../release/ports.js"
import { releaseDirectory } from "../release/load.js"
import { parseSpec, type RolloutSpec } from "../rollout/spec.js"
import { z } from "zod"
import { SPEC_SCHEMA } from "../rollout/state-schema.js"
import { answers } from "./answer.js"
import { defineCommand, JSON_FLAG, PLACE_FLAGS, usage } from "./command.js"
import { ENGINES_FLAG, enginesOf } from "./engines.js"
import { EXIT } from "./exit-code.js"
import { readText, rolloutFileOf } from "./place.js"
import { compileTree, openAt, treeOf } from "./release-read.js"
import { planLines } from "./plan-words.js"
import { readRoughly } from "./rough-spec.js"

interface CheckedRelease {
  readonly version: string
  readonly digest: string | null
  /** Files that are code, and were not run. */
  readonly code: readonly string[]
}

export const validateCommand = defineCommand({
  notes: ["Lists every problem at once, with its line and the fix."],
  example: "serin validate --rollout safety/rollout.yaml",
  flags: {
    rollout: PLACE_FLAGS.rollout,
    releases: { type: "string", value: "DIR", text: "the releases (default: releases/ beside the rollout file)" },
    "spec-only": { type: "boolean", text: "leave the releases out: they are made in code" },
    ...ENGINES_FLAG,
    ...JSON_FLAG,
  },
  answers: answers(
    "serin/validate/1",
    z.object({
      ok: z.literal(true),
      spec: SPEC_SCHEMA,
      releases: z.array(
        z.object({
          version: z.string(),
          digest: z.string().nullable(),
          /** Files that are code, and were not run. */
          code: z.array(z.string()),
        }),
      ),
    }),
  ),
  async run({ values, io, out }) {
    if (values["spec-only"] && values.releases !== undefined) {
      throw usage("serin validate: --spec-only and --releases exclude each other")
    }
    const place = rolloutFileOf(values, io)
    const text = await readText(place.file, place.shownFile)
    const { spec, problems } = readWithProblems(text, place.shownFile)
    const versions = spec === null ? readRoughly(text).versions : [spec.stable, spec.canary]
    const root =
      values.releases === undefined ? join(dirname(place.file), "releases") : resolve(io.cwd, values.releases)
    const shownRoot = relative(io.cwd, root) || "."
    const checked = values["spec-only"]
      ? []
      : await checkReleases(root, shownRoot, versions, problems, await enginesOf("validate", values.engines, io))

    if (spec === null || problems.length > 0) {
      const count = problems.length === 1 ? "1 problem" : `${problems.length} problems`
      const code = spec === null ? "SPEC_INVALID" : "RELEASE_INVALID"
      throw new SerinError(code, `${place.shownFile} does not work yet: ${count}`, { problems })
    }
    if (values.json) {
      out.json({ ok: true, spec, releases: checked })
      return EXIT.ok
    }
    out.line({ text: spec.rollout, style: "bold" }, `: ${spec.stable} → ${spec.canary}, valid`)
    for (const { version, digest, code } of checked) {
      out.line(`  ${version}  ${digest ?? ""}${code.length > 0 ? `  its code was not run: ${code.join(", ")}` : ""}`)
    }
    if (values["spec-only"]) out.line("  the releases were not checked")
    out.lines(planLines(spec))
    return EXIT.ok
  },
})

function readWithProblems(text: string, path: string): { spec: RolloutSpec | null; problems: Problem[] } {
  try {
    return { spec: parseSpec(text, { path }), problems: [] }
  } catch (error) {
    if (!isSerinError(error)) throw error
    return { spec: null, problems: [...error.problems] }
  }
}

async function checkReleases(
  root: string,
  shownRoot: string,
  versions: readonly string[],
  problems: Problem[],
  engines: readonly Engine[],
): Promise<readonly CheckedRelease[]> {
  const isThere = await stat(root).then(
    (stats) => stats.isDirectory(),
    () => false,
  )
  if (!isThere) {
    const fix = "make it, say where it is with --releases DIR, or use --spec-only when releases are made in code"
    problems.push({ where: shownRoot, message: "is no directory, so no release was checked", fix })
    return []
  }
  const source = releaseDirectory(root, { engines })
  const checked: CheckedRelease[] = []
  for (const version of versions) {
    try {
      checked.push(await check(version))
    } catch (error) {
      if (!isSerinError(error)) throw error
      const found = error.code === "RELEASE_NOT_FOUND" ? [] : error.problems
      problems.push(...(found.length > 0 ? found : [{ where: join(shownRoot, version), message: error.message }]))
    }
  }
  return checked

  async function check(version: string): Promise<CheckedRelease> {
    try {
      return { version, digest: (await source.get(version)).digest ?? null, code: [] }
    } catch (error) {
      // No keys are asked for here, so what is not trusted is a release that brings code. It is checked as far as it is data.
      if (!isSerinError(error) || error.code !== "RELEASE_UNTRUSTED") throw error
      const tree = await treeOf(await openAt(version, { cwd: root }))
      compileTree(tree)
      return { version, digest: tree.digest, code: tree.manifest.code }
    }
  }
}
