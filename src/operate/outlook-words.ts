import { outlook, type Outlook } from "../analysis/outlook.js"
import type { CriterionName } from "../model/verdict.js"
import { formatSpan } from "./format.js"
import { isUnderWay } from "../rollout/phase.js"
import type { Snapshot } from "./snapshot.js"

/** When the criteria that are not settled will be; nothing where nobody judges any more. */
export function outlookOf({ verdict, report, state, phase, judged }: Snapshot): readonly Outlook[] {
  if (verdict === null || !isUnderWay(phase) || !judged) return []
  return outlook(verdict, { ramp: state.ramp, since: report?.since })
}

/** Say it in a few words: `pass in about 3h`. */
export function outlookWords(one: Outlook): string {
  switch (one.heading) {
    case "pass":
    case "breach":
      return `${one.heading} in about ${formatSpan(Math.max(60_000, one.ms))}`
    case "at_limit":
      return "no end in sight: the estimate is at its limit"
    case "not_here":
      return "not at this stage"
    case "no_rate":
      return "traffic too little to tell"
  }
}

export function outlookOn(outlooks: readonly Outlook[], name: CriterionName): string {
  const found = outlooks.find(({ criterion }) => criterion === name)
  return found === undefined ? "-" : outlookWords(found)
}
