import type { ParsedNode } from "yaml"
import type { Problem } from "../errors.js"
import type { Effect } from "../model/decision.js"
import { openDocument } from "../release/document.js"
import { clip, invalid, suggest } from "../release/problems.js"
import type { SourceDocument } from "../release/document.js"
import type { Engine, SourceFile } from "../release/ports.js"
import { conditionCompiler } from "./condition.js"
import type { Condition } from "./condition.js"
import { globCovers, isLiteral } from "./glob.js"
import { rulePolicy } from "./rule-policy.js"
import type { Rule } from "./rule-policy.js"

const MAX_BYTES = 1024 * 1024
/** Over all files: rules, and patterns in their `action`. */
const MAX_RULES = 10_000
const ID = /^[\w.:/-]{1,128}$/
const RULE_KEYS = ["id", "action", "when", "effect", "reason"] as const
const EFFECTS = ["allow", "deny", "escalate"] as const satisfies readonly Effect[]

type Compile = ReturnType<typeof conditionCompiler>

/** A rule as far as it could be read: null is what had a problem. */
interface Draft {
  readonly id: string | null
  readonly where: string
  readonly patterns: readonly string[] | null
  readonly conditional: boolean
  readonly condition: Condition | null
  readonly effect: Effect | null
  readonly reason: string | null
}

/**
 * Make the engine for ordered rules in YAML or JSON: the first rule whose `action` glob and CEL condition match decides,
 * and a call that no rule matches is denied. A condition that fails is a `RuleError`, never a decision.
 */
export function rulesEngine(): Engine {
  return {
    name: "rules",
    compile(files) {
      const problems: Problem[] = []
      const drafts = readFiles(files, problems)
      refuseDuplicates(drafts, problems)
      refuseUnreachable(drafts, problems)
      if (problems.length > 0) throw invalid("RULES_INVALID", "the rules", problems)
      return rulePolicy(drafts.map(toRule))
    },
  }
}

function readFiles(files: readonly SourceFile[], problems: Problem[]): Draft[] {
  if (files.length === 0) problems.push({ where: "files", message: "there is no rule file", fix: "list one" })
  const compile = conditionCompiler()
  const drafts: Draft[] = []
  let patterns = 0
  for (const file of files) {
    if (Buffer.byteLength(file.text) > MAX_BYTES) {
      problems.push({ where: file.path, message: "is larger than 1 MiB", fix: "split the file" })
      continue
    }
    const document = openDocument(file, problems)
    for (const node of readRules(document)) {
      const draft = readRule(document, node, compile)
      patterns += draft?.patterns?.length ?? 0
      if (drafts.length >= MAX_RULES || patterns > MAX_RULES) {
        const message = `more than ${MAX_RULES} rules or patterns`
        problems.push({ where: document.where(node), message, fix: "use globs, or conditions with `in`" })
        return drafts
      }
      if (draft !== null) drafts.push(draft)
    }
  }
  return drafts
}

function readRules(document: SourceDocument): readonly ParsedNode[] {
  const fields = document.root === null ? null : document.fields(document.root, "the file", ["rules"])
  const list = fields && document.need(fields, "rules", "the file", "write `rules:` and a list below it")
  const rules = list && document.items(list, "`rules`")
  if (list !== null && rules?.length === 0) {
    const fix = 'to deny everything say so: `- { id: deny-all, action: "*", effect: deny }`'
    document.refuse(list, "there is no rule in `rules`", fix)
  }
  return rules ?? []
}

function readRule(document: SourceDocument, node: ParsedNode, compile: Compile): Draft | null {
  const fields = document.fields(node, "the rule", RULE_KEYS)
  if (fields === null) return null
  const idNode = document.need(fields, "id", "the rule", "name it: decisions and errors carry the id")
  const id = idNode && document.text(idNode, "`id`")
  const name = id === null ? "the rule" : `rule \`${clip(id)}\``
  if (idNode !== null && id !== null && !ID.test(id)) {
    const fix = "use up to 128 letters, digits, and . _ : / -"
    document.refuse(idNode, `${name}: \`id\` has other characters or is too long`, fix)
  }
  const action = document.need(fields, "action", name, 'write a glob, or `"*"` for every action')
  const effect = document.need(fields, "effect", name, "write allow, deny or escalate")
  const when = fields.get("when") ?? null
  const reason = fields.get("reason") ?? null
  return {
    id,
    where: document.where(node),
    patterns: action && document.texts(action, `${name}: \`action\``),
    conditional: when !== null,
    condition: when && readCondition(document, when, name, compile),
    effect: effect && readEffect(document, effect, name),
    reason: reason && document.text(reason, `${name}: \`reason\``),
  }
}

function readCondition(document: SourceDocument, node: ParsedNode, name: string, compile: Compile): Condition | null {
  const text = document.text(node, `${name}: \`when\``)
  const compiled = text === null ? [] : compile(text)
  if (typeof compiled === "function") return compiled
  for (const { message, character, fix } of compiled) {
    document.refuse(node, `${name}: \`when\`: ${message}`, fix, character)
  }
  return null
}

function readEffect(document: SourceDocument, node: ParsedNode, name: string): Effect | null {
  const text = document.text(node, `${name}: \`effect\``)
  const effect = EFFECTS.find((one) => one === text) ?? null
  if (text !== null && effect === null) {
    document.refuse(node, `${name}: \`effect\` is the unknown \`${clip(text)}\``, suggest(text, EFFECTS))
  }
  return effect
}

/** Decisions, errors and evidence name a rule by its id alone, so it is unique over all files. */
function refuseDuplicates(drafts: readonly Draft[], problems: Problem[]): void {
  const first = new Map<string, string>()
  for (const { id, where } of drafts) {
    if (id === null) continue
    const before = first.get(id)
    if (before === undefined) first.set(id, where)
    else problems.push({ where, message: `rule \`${id}\`: the \`id\` is taken by ${before}`, fix: "rename one" })
  }
}

/** A rule that can never match is a slip in the order, or a leftover that readers trust. */
function refuseUnreachable(drafts: readonly Draft[], problems: Problem[]): void {
  const literals = new Map<string, Draft>()
  const globs: { readonly pattern: string; readonly draft: Draft }[] = []
  const coverOf = (pattern: string) =>
    literals.get(pattern) ?? globs.find((earlier) => globCovers(earlier.pattern, pattern))?.draft
  for (const draft of drafts) {
    if (draft.patterns === null) continue
    const covers = draft.patterns.map(coverOf)
    const cover = covers[0]
    if (cover !== undefined && covers.every((one) => one !== undefined)) {
      const message = `rule \`${draft.id}\` can never match: ${cover.where} \`${cover.id}\` takes its actions before it`
      problems.push({ where: draft.where, message, fix: "move it up, narrow the earlier rule, or delete it" })
    } else if (!draft.conditional) {
      for (const pattern of draft.patterns) {
        if (!isLiteral(pattern)) globs.push({ pattern, draft })
        else if (!literals.has(pattern)) literals.set(pattern, draft)
      }
    }
  }
}

/** Called when nothing was refused: every part is there. */
function toRule({ id, patterns, condition, effect, reason }: Draft): Rule {
  if (id === null || patterns === null || effect === null) throw new TypeError("a rule with problems was not refused")
  return {
    id,
    patterns,
    condition,
    evaluation: Object.freeze({ outcome: effect, rule: id, ...(reason !== null && { reason }) }),
  }
}
