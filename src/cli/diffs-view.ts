import type { DisagreementGroup, Disagreements } from "../disagreements/document.js"
import type { Example } from "../disagreements/example.js"
import type { Change, GroupSide } from "../disagreements/group.js"
import type { Draw, Label } from "../disagreements/labels.js"
import type { WrongRate } from "../disagreements/wrong-rate.js"
import { formatTime } from "../operate/format.js"
import type { CallReplay, ReplayedCall } from "../replay/one-call.js"
import type { Line } from "./printer.js"

const SHOWN_GROUPS = 20

export const CHANGE_WORDS: Readonly<Record<Change, string>> = {
  newly_allowed: "newly allowed",
  newly_denied: "newly denied",
  newly_escalated: "newly escalated",
  no_longer_escalated: "denied without asking",
  failed: "the canary fails",
  mended: "stable fails",
}

/** Say where the releases disagree, in lines. */
export function diffsLines(found: Disagreements): Line[] {
  const { rollout, generation, sessions, groups, notes } = found
  const hits = groups.filter(({ evidence }) => evidence?.found === true)
  const rest = groups.filter((group) => !hits.includes(group))
  const judged = sessions === null ? "" : ` among ${many(sessions, "session")} that both judged`
  return [
    [
      { text: rollout, style: "bold" },
      `: ${groups.length === 0 ? "no disagreement" : many(groups.length, "kind") + " of disagreement"} in generation ${generation}${judged}`,
    ],
    ...section(hits, `in more than ${percent(found.tolerated)} of the sessions, most evidence first:`),
    ...section(
      rest.slice(0, SHOWN_GROUPS),
      hits.length === 0 ? "none is known to be more than chance yet:" : "not known to be more than chance yet:",
    ),
    ...(rest.length > SHOWN_GROUPS
      ? [[`  and ${many(rest.length - SHOWN_GROUPS, "kind")} more: --json has them all`]]
      : []),
    ...wrongLines(found.wrongRates),
    ...(notes.length === 0 ? [] : [[]]),
    ...notes.map((note): Line => [`note: ${note}`]),
  ]
}

function section(groups: readonly DisagreementGroup[], title: string): Line[] {
  return groups.length === 0 ? [] : [[], [title], ...groups.flatMap(groupLines)]
}

function groupLines(group: DisagreementGroup): Line[] {
  const { id, change, tool, stable, canary, calls, sessions, evidence, examples, labels } = group
  const where = sessions === null ? "" : ` of ${many(sessions, "session")}`
  const bound = evidence?.found === true ? `, at least ${percent(evidence.lower)} of all` : ""
  const said = SAID.flatMap((says) => {
    const by = labels.filter((label) => label.says === says).length
    return by === 0 ? [] : [`, ${by} × labelled ${says}`]
  })
  return [
    [
      `  ${id}  `,
      { text: CHANGE_WORDS[change], style: change === "newly_allowed" || change === "failed" ? "red" : "yellow" },
      `  ${tool}: ${sideWords(stable)} → ${sideWords(canary)}`,
    ],
    [{ text: `${INDENT}${many(calls, "call")}${where}${bound}${said.join("")}`, style: "dim" }],
    ...examples.flatMap(exampleLines),
  ]
}

const INDENT = " ".repeat(14)
const SAID = ["right", "wrong"] as const

function exampleLines({ id, session, at, input, redacted, reasons }: Example): Line[] {
  const what = input ?? (redacted ? "the log holds no input" : "no input")
  return [
    [{ text: `${INDENT}${id}  ${formatTime(at)}, ${session}: ${what}${redacted ? " (redacted)" : ""}`, style: "dim" }],
    ...Object.entries(reasons).flatMap(([arm, reason]): Line[] =>
      reason === null ? [] : [[{ text: `${INDENT}  ${arm}: ${reason}`, style: "dim" }]],
    ),
  ]
}

/** Show what was drawn, and how to say what it is. */
export function drawnLines(draw: Draw | null, example: Example | null, say: (verb: string) => string): Line[] {
  if (draw === null) return [["every session with such a disagreement in this log was drawn"]]
  const { example: id, group, scope } = draw
  if (example === null) return [[`drawn: ${id} of group ${group}; this log does not hold it any more`]]
  const { change, tool, stable, canary } = example
  return [
    [`drawn at random from ${scope === "all" ? "all disagreements" : `group ${scope}`}:`],
    [
      "  ",
      { text: CHANGE_WORDS[change], style: "yellow" },
      `  ${tool}: ${sideWords(stable)} → ${sideWords(canary)}  (group ${group})`,
    ],
    ...exampleLines(example),
    [],
    [`  next: is the canary right to answer otherwise? \`${say("diffs")} --label ${id} --as right\`, or wrong`],
  ]
}

/** Say what was kept, and what is known by it. */
export function labelledLines({ example, group, says, by }: Label, rates: readonly WrongRate[]): Line[] {
  return [[`${example ?? `group ${group}`}: labelled ${says} by ${by}`], ...wrongLines(rates)]
}

function wrongLines(rates: readonly WrongRate[]): Line[] {
  const told = rates.filter(({ labelled }) => labelled > 0)
  if (told.length === 0) return []
  return [
    [],
    ["where the canary is wrong, by labels of what was drawn at random:"],
    ...told.map(({ scope, wrong, labelled, atMost, atLeast, disputed }): Line => {
      const dispute = disputed === 0 ? "" : `, ${disputed} of them disputed`
      return [
        `  ${scope === "all" ? "all disagreements" : `group ${scope}`}: ${wrong} of ${labelled} wrong${dispute}; at most ${percent(atMost)}, at least ${percent(atLeast)}`,
      ]
    }),
  ]
}

/** Say what both releases make of one call, and which rule fired in each. */
export function replayedLines({ id, at, session, fidelity, replayed, repeats, notes }: CallReplay): Line[] {
  const how = {
    exact: "as it was decided",
    redacted: "what a redaction left of it",
    none: "its input is not in the log",
  }[fidelity]
  return [
    [{ text: id, style: "bold" }, `: ${formatTime(at)}, ${session ?? "no session"}; ${how}`],
    ...(replayed === null ? [] : Object.entries(replayed).flatMap(([arm, one]) => replayedArm(arm, one))),
    ...(repeats === true ? [[{ text: "both answer as the log has it", style: "green" } as const]] : []),
    ...notes.map((note): Line => [`note: ${note}`]),
  ]
}

function replayedArm(arm: string, { release, outcome, rule, reason, errorType, scan }: ReplayedCall): Line[] {
  const by = rule === null ? "" : ` by ${rule}`
  const why = reason === null ? "" : `: ${reason}`
  const findings = scan?.findings.map(({ scanner, category }) => `${scanner} (${category})`) ?? []
  return [
    [
      `  ${arm} ${release}: `,
      { text: `${outcome}${by}`, style: "bold" },
      `${errorType === null ? "" : ` (${errorType})`}${why}`,
    ],
    ...(scan === null
      ? []
      : [[`    text: ${scan.result}${findings.length === 0 ? "" : ` by ${findings.join(", ")}`}`]]),
  ]
}

export const sideWords = ({ outcome, rule }: GroupSide): string =>
  `${outcome}${rule === undefined ? "" : ` by ${rule}`}`
export const many = (count: number, noun: string): string =>
  `${count.toLocaleString("en-US")} ${noun}${count === 1 ? "" : "s"}`
export const percent = (rate: number): string => `${Number((100 * rate).toPrecision(2))} %`
