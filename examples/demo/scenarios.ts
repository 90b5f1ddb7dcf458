import { chooseGuardrail, chooseTypo, GUARDED_CALLS, stableRules, type Guardrail, type Rule } from "./rules.js"
import { toolsOf, type Tool } from "./recorded.js"
import type { RecordedCall } from "serin/testing"

/** How an act must end. */
export type Expected =
  | { readonly kind: "denials"; readonly action: string; readonly rule: string }
  | { readonly kind: "newly_allowed" }
  | { readonly kind: "promoted" }

/** One act: two releases, and how their rollout must end. */
export interface Scenario {
  readonly act: 1 | 2 | 3
  readonly title: string
  readonly story: string
  readonly stable: readonly Rule[]
  readonly canary: readonly Rule[]
  readonly expected: Expected
}

/** An act that the recorded calls do not suffice for. */
export interface Missing {
  readonly act: 1 | 2 | 3
  readonly title: string
  readonly missing: string
}

const TITLES = { 1: "A rule typo", 2: "A guardrail lost", 3: "A good canary" } as const

/** Above this share of the calls a change is no tiny one. */
const TINY = 0.01

/** Plan the three acts around the tools of the recorded sessions. */
export function planActs(calls: readonly RecordedCall[]): readonly (Scenario | Missing)[] {
  const tools = toolsOf(calls)
  const typo = chooseTypo(tools)
  const guardrail = chooseGuardrail(tools, typo)
  const stable = stableRules(tools, typo, guardrail)
  const action = typo.rule.actions[0] ?? ""
  const mistyped = stable.map((rule) => (rule === typo.rule ? { ...rule, when: typo.wrong } : rule))
  return [
    {
      act: 1,
      title: TITLES[1],
      story: typo.story,
      stable,
      canary: mistyped,
      expected: { kind: "denials", action, rule: typo.rule.id },
    },
    guardrail === null
      ? { act: 2, title: TITLES[2], missing: lacking(tools) }
      : {
          act: 2,
          title: TITLES[2],
          story: guardrail.story,
          stable,
          canary: stable.filter((rule) => rule !== guardrail.rule),
          expected: { kind: "newly_allowed" },
        },
    { act: 3, title: TITLES[3], ...refactored(stable, guardrail), stable, expected: { kind: "promoted" } },
  ]
}

/** Put all rules that allow without a condition into one, and have people asked where stable denies, if that is rare. */
function refactored(stable: readonly Rule[], guardrail: Guardrail | null): Pick<Scenario, "story" | "canary"> {
  const plain = stable.filter(({ effect, when }) => effect === "allow" && when === undefined)
  const others = stable.filter((rule) => !plain.includes(rule))
  const routine = { id: "routine", actions: plain.flatMap(({ actions }) => actions), effect: "allow" } as const
  const merged = plain.length === 0 ? "The canary has the same rules" : "The canary says the allows in one rule"
  const asks = guardrail !== null && guardrail.share <= TINY
  return {
    canary: [
      ...others.map((rule) => (asks && rule === guardrail.rule ? { ...rule, effect: "escalate" as const } : rule)),
      ...(plain.length === 0 ? [] : [routine]),
    ],
    story: asks ? `${merged}, and asks a person where stable denies by ${guardrail.rule.id}.` : `${merged}.`,
  }
}

function lacking(tools: readonly Tool[]): string {
  const has = tools.length === 1 ? `only ${tools[0]?.name}` : `${tools.length} tools, none of them`
  return `needs a second tool with ${GUARDED_CALLS} recorded calls or more; the file has ${has}`
}
