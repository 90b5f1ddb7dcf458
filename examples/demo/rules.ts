import { commonField, fieldOf, type Tool } from "./recorded.js"

/** One rule of `rules.yaml`. */
export interface Rule {
  readonly id: string
  readonly actions: readonly string[]
  /** CEL. */
  readonly when?: string
  readonly effect: "allow" | "deny" | "escalate"
  readonly reason?: string
}

/** A rule that act 1 mistypes. */
export interface Typo {
  readonly rule: Rule
  readonly wrong: string
  readonly story: string
}

/** A rule that denies, and that act 2 loses. */
export interface Guardrail {
  readonly rule: Rule
  /** Share of all recorded calls that it denies, 0–1. */
  readonly share: number
  readonly story: string
}

const isText = (value: unknown): value is string => typeof value === "string"
const isNumber = (value: unknown): value is number => typeof value === "number"
const isList = (value: unknown): value is readonly unknown[] => Array.isArray(value)

/** Write the rules of the stable release: conditions for the travel tools that are known here, an allow for every other tool seen. */
export function stableRules(tools: readonly Tool[], typo: Typo, guardrail: Guardrail | null): readonly Rule[] {
  return tools.flatMap((tool, i) => {
    if (typo.rule.actions.includes(tool.name)) return [typo.rule]
    if (guardrail?.rule.actions.includes(tool.name) === true) return [guardrail.rule, allow(tool, i)]
    return travelRules(tool, i)
  })
}

/** Choose the rule for act 1: cancellations by the shape of a reservation's id, else a field's name in a frequent tool's rule. */
export function chooseTypo(tools: readonly Tool[]): Typo {
  const cancel = tools.find(({ name }) => name === "cancel_reservation")
  const ids = cancel && fieldOf(cancel, "reservation_id", isText)
  const lost = (ids ?? []).filter((id) => /^[A-Z0-9]{6}$/.test(id) && !/^[A-Z]{6}$/.test(id)).length
  if (cancel !== undefined && lost / cancel.inputs.length > 0.5 && cancel.callShare > 0.03) {
    return {
      rule: {
        id: "cancel-known-id",
        actions: [cancel.name],
        when: 'input.reservation_id.matches("^[A-Z0-9]{6}$")',
        effect: "allow",
      },
      wrong: 'input.reservation_id.matches("^[A-Z]{6}$")',
      story: "In the canary the pattern for reservation ids has lost its digits: legitimate cancellations are denied.",
    }
  }
  const byFrequency = [...tools].sort((a, b) => a.callShare - b.callShare)
  const frequent = byFrequency.find((tool) => tool.sessionShare >= 0.15 && tool.callShare >= 0.04)
  const tool = frequent ?? byFrequency.at(-1)
  if (tool === undefined) throw new RangeError("tools must have at least one tool, got none")
  const field = commonField(tool)
  const right = field === null ? `action == ${JSON.stringify(tool.name)}` : `${JSON.stringify(field)} in input`
  const wrong =
    field === null
      ? `action == ${JSON.stringify(`${tool.name}_`)}`
      : `${JSON.stringify(misspell(tool, field))} in input`
  return {
    rule: { id: "complete-request", actions: [tool.name], when: right, effect: "allow" },
    wrong,
    story: `In the canary a name in the rule for ${tool.name} is mistyped: its calls are denied.`,
  }
}

/** Fewest recorded calls of a tool that a guardrail is made for. */
export const GUARDED_CALLS = 5

/** Choose the rule for act 2: certificates above an amount, else all calls of the least frequent tool. Null: no tool is left. */
export function chooseGuardrail(tools: readonly Tool[], typo: Typo): Guardrail | null {
  const others = tools.filter(({ name, inputs }) => !typo.rule.actions.includes(name) && inputs.length >= GUARDED_CALLS)
  const certificates = others.find(({ name }) => name === "send_certificate")
  const amounts = [...((certificates && fieldOf(certificates, "amount", isNumber)) ?? [])].sort((a, b) => a - b)
  const median = amounts[Math.floor((amounts.length - 1) / 2)]
  const above = amounts.filter((amount) => median !== undefined && amount > median).length
  if (certificates !== undefined && median !== undefined && above > 0) {
    return {
      rule: {
        id: "certificate-limit",
        actions: [certificates.name],
        when: `input.amount > ${median}`,
        effect: "deny",
        reason: `certificates above ${median} are for people to send`,
      },
      share: certificates.callShare * (above / amounts.length),
      story: `In the canary the rule that denies certificates above ${median} is gone.`,
    }
  }
  const [tool] = [...others].sort((a, b) => a.callShare - b.callShare)
  if (tool === undefined) return null
  return {
    rule: {
      id: "not-for-agents",
      actions: [tool.name],
      when: `action == ${JSON.stringify(tool.name)}`,
      effect: "deny",
      reason: `${tool.name} is for people`,
    },
    share: tool.callShare,
    story: `In the canary the rule that denies ${tool.name} is gone, and a general allow is left.`,
  }
}

/** Write `rules.yaml`. */
export function rulesYaml(rules: readonly Rule[]): string {
  const blocks = rules.map(({ id, actions, when, effect, reason }) =>
    [
      `  - id: ${id}`,
      actions.length === 1 ? `    action: ${scalar(actions[0] ?? "")}` : "    action:",
      ...(actions.length === 1 ? [] : actions.map((action) => `      - ${scalar(action)}`)),
      ...(when === undefined ? [] : [`    when: ${scalar(when)}`]),
      `    effect: ${effect}`,
      ...(reason === undefined ? [] : [`    reason: ${scalar(reason)}`]),
    ].join("\n"),
  )
  return `rules:\n${blocks.join("\n")}\n`
}

/** Conditions written by hand for tools whose inputs are what they expect. */
function travelRules(tool: Tool, index: number): readonly Rule[] {
  const actions = [tool.name]
  if (tool.name === "book_reservation" && fieldOf(tool, "passengers", isList) !== null) {
    const when = "size(input.passengers) > 3"
    const group = { id: "group-booking", actions, when, effect: "escalate", reason: "groups are for people" } as const
    return [group, allow(tool, index)]
  }
  if (tool.name === "calculate" && fieldOf(tool, "expression", isText) !== null) {
    const when = 'input.expression.matches("^[0-9 .+*/()-]+$")'
    return [{ id: "plain-arithmetic", actions, when, effect: "allow" }]
  }
  return [allow(tool, index)]
}

function allow(tool: Tool, index: number): Rule {
  const id = /^[\w.:/-]{1,100}$/.test(tool.name) ? `allow-${tool.name}` : `allow/${index}`
  return { id, actions: [tool.name], effect: "allow" }
}

/** Misspell a field so that no input has it. */
function misspell(tool: Tool, field: string): string {
  const typed = field.length > 2 ? `${field[0]}${field.slice(2)}` : `${field}_`
  const isTaken = (name: string): boolean => tool.inputs.some((input) => Object.hasOwn(Object(input), name))
  return isTaken(typed) ? misspell(tool, `${field}_`) : typed
}

function scalar(text: string): string {
  if (/^[a-z][a-z0-9_ -]*[a-z0-9]$/i.test(text) && !/^(true|false|null)$/i.test(text)) return text
  return /^[\x20-\x7e]*$/.test(text) ? `'${text.replaceAll("'", "''")}'` : JSON.stringify(text)
}
