import type { Disagreements } from "../disagreements/document.js"
import type { Change, GroupSide } from "../disagreements/group.js"
import type { RankedGroup } from "../disagreements/ranking.js"
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
    ...(notes.length === 0 ? [] : [[]]),
    ...notes.map((note): Line => [`note: ${note}`]),
  ]
}

function section(groups: readonly RankedGroup[], title: string): Line[] {
  return groups.length === 0 ? [] : [[], [title], ...groups.flatMap(groupLines)]
}

function groupLines({ id, change, tool, stable, canary, calls, sessions, evidence }: RankedGroup): Line[] {
  const where = sessions === null ? "" : ` of ${many(sessions, "session")}`
  const bound = evidence?.found === true ? `, at least ${percent(evidence.lower)} of all` : ""
  return [
    [
      `  ${id}  `,
      { text: CHANGE_WORDS[change], style: change === "newly_allowed" || change === "failed" ? "red" : "yellow" },
      `  ${tool}: ${sideWords(stable)} → ${sideWords(canary)}`,
    ],
    [{ text: `              ${many(calls, "call")}${where}${bound}`, style: "dim" }],
  ]
}

export const sideWords = ({ outcome, rule }: GroupSide): string =>
  `${outcome}${rule === undefined ? "" : ` by ${rule}`}`
export const many = (count: number, noun: string): string =>
  `${count.toLocaleString("en-US")} ${noun}${count === 1 ? "" : "s"}`
export const percent = (rate: number): string => `${Number((100 * rate).toPrecision(2))} %`
