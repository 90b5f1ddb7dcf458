import { parse } from "yaml"
import type { Effect } from "../model/decision.js"
import type { Tree } from "../release/read.js"
import { MANIFEST } from "../release/tree.js"
import { z } from "zod"
import { answers } from "./answer.js"
import { defineCommand, JSON_FLAG, operandAt } from "./command.js"
import { EXIT } from "./exit-code.js"
import { keyChanges } from "./key-changes.js"
import { table, type Line } from "./printer.js"
import { compileTree, openAt, policyFiles, treeOf } from "./release-read.js"
import { DIRECTIONS, ruleChanges, together } from "./rule-changes.js"
import type { Change, Direction, WrittenRule } from "./rule-changes.js"

interface FileChange {
  readonly path: string
  readonly what: "added" | "removed" | "changed"
  /** Of a mapping: what changed in it. */
  readonly keys: readonly string[]
}

const direction = z.enum(DIRECTIONS)

export const releaseDiffCommand = defineCommand({
  operand: "OLD NEW",
  notes: [
    "Says of each rule that changed whether it loosens or tightens what is allowed, where that can be told without calls.",
    "Compares what is written, believes nothing, and exits with 0 also where there are differences.",
  ],
  example: "serin release diff safety/releases/1.4.0 safety/releases/1.5.0.tgz",
  flags: { ...JSON_FLAG },
  answers: answers(
    "serin/release-diff/1",
    z.object({
      old: z.string(),
      new: z.string(),
      /** To the byte. */
      same: z.boolean(),
      engine: z.tuple([z.string(), z.string()]).nullable(),
      sdk: z.tuple([z.string(), z.string()]).nullable(),
      rules: z.array(z.object({ rule: z.string(), what: z.string(), direction })),
      files: z.array(
        z.object({ path: z.string(), what: z.enum(["added", "removed", "changed"]), keys: z.array(z.string()) }),
      ),
      direction,
    }),
  ),
  async run({ values, operands, io, out }) {
    const [old, next] = [
      await treeOf(await openAt(operandAt(operands, 0, "release diff", "OLD"), io)),
      await treeOf(await openAt(operandAt(operands, 1, "release diff", "NEW"), io)),
    ]
    // Compiling refuses aliases, unknown keys and rules that are named twice: what is compared is what is run.
    for (const tree of [old, next]) compileTree(tree)
    const haveRules = [old, next].every(({ manifest }) => manifest.engine === "rules")
    const rules = haveRules ? ruleChanges(rulesOf(old), rulesOf(next)) : []
    const files = fileChanges(old, next, haveRules)
    const engine = changeOf(old.manifest.engine ?? "module", next.manifest.engine ?? "module")
    const sdk = changeOf(old.manifest.sdk ?? "none", next.manifest.sdk ?? "none")
    const all: Direction =
      !haveRules && files.length > 0 ? "unclear" : together(rules.map(({ direction }) => direction))
    const same = old.digest === next.digest
    if (values.json) {
      const versions = { old: old.manifest.version, new: next.manifest.version }
      out.json({ ...versions, same, engine, sdk, rules, files, direction: all })
      return EXIT.ok
    }
    out.line({ text: `${old.manifest.version} → ${next.manifest.version}`, style: "bold" })
    if (same) out.line("  the same files")
    else {
      if (engine !== null) out.line(`  engine ${engine.join(" → ")}`)
      if (sdk !== null) out.line(`  sdk ${sdk.join(" → ")}`)
      out.lines(table(rules.map(changeLine)))
      for (const { path, what, keys } of files) {
        out.line(`  ${path} ${what}`)
        for (const key of keys) out.line(`    ${key}`)
      }
      out.line(...verdictLine(all))
    }
    return EXIT.ok
  },
})

const changeOf = (was: string, is: string): [string, string] | null => (was === is ? null : [was, is])

const NAMES: Readonly<Record<Direction, string>> = {
  loosens: "loosened",
  tightens: "tightened",
  none: "no effect",
  unclear: "cannot tell",
}

const STYLES = { loosens: "yellow", tightens: "green", none: "dim", unclear: "yellow" } as const

function changeLine({ rule, what, direction }: Change): Line {
  return [{ text: `  ${NAMES[direction]}`, style: STYLES[direction] }, rule, what]
}

/** About the rules alone: what a host does with a config, only the host knows. */
function verdictLine(all: Direction): Line {
  if (all === "loosens") return ["  all in all the rules loosen: no call gets a stricter answer (`intent: loosen`)"]
  if (all === "tightens") return ["  all in all the rules tighten: no call gets a laxer answer (`intent: tighten`)"]
  if (all === "none") return ["  all in all the rules give every call the same answer (`intent: refactor`)"]
  return ["  all in all it cannot be told from what is written; shadow shows it call by call"]
}

/** Called after they compiled: every part is there and of its kind. */
function rulesOf(tree: Tree): WrittenRule[] {
  return policyFiles(tree).flatMap(({ text }) => {
    const { rules } = parse(text, { version: "1.2", schema: "core", maxAliasCount: 0 }) as { rules: RawRule[] }
    return rules.map(({ id, action, when = null, effect, reason = null }) => {
      return { id, patterns: typeof action === "string" ? [action] : action, when, effect, reason }
    })
  })
}

interface RawRule {
  readonly id: string
  readonly action: string | readonly string[]
  readonly when?: string
  readonly effect: Effect
  readonly reason?: string
}

/** Files that came, went or changed; those of the rules are told rule by rule. */
function fileChanges(old: Tree, next: Tree, haveRules: boolean): FileChange[] {
  const told = ({ files, manifest }: Tree) =>
    files.filter(({ name }) => name !== MANIFEST && !(haveRules && manifest.policyFiles.includes(name)))
  const before = new Map(told(old).map((file) => [file.name, file]))
  const after = new Map(told(next).map((file) => [file.name, file]))
  const changes: FileChange[] = []
  for (const path of [...new Set([...before.keys(), ...after.keys()])].sort()) {
    const [was, is] = [before.get(path), after.get(path)]
    if (was === undefined || is === undefined) changes.push({ path, what: is ? "added" : "removed", keys: [] })
    else if (Buffer.compare(was.bytes, is.bytes) !== 0) {
      changes.push({ path, what: "changed", keys: keyChanges(was.text, is.text) })
    }
  }
  return changes
}
