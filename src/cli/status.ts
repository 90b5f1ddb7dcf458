import { STATUS } from "./status-answer.js"
import type { AnswerOf, Told } from "./answer.js"
import { defineCommand, JSON_FLAG, PLACE_FLAGS } from "./command.js"
import { exitCodeOf } from "./exit-code.js"
import { statusDocument } from "../operate/status-document.js"
import { placeOf, rolloutName, rolloutsIn, type Place } from "./place.js"
import type { Printer } from "./printer.js"
import { takeSnapshot, type Snapshot } from "../operate/snapshot.js"
import { statusLines } from "./status-view.js"

export const statusCommand = defineCommand({
  notes: [
    "Exit codes: 0 idle, under way or promoted; 3 held; 4 rolled back; 5 killed; 6 no state; 8 contained; 11 no data to judge by;",
    "12 under way, and no process is judging it; 13 the store cannot be reached; 1 the state cannot be read.",
  ],
  example: "serin status --json",
  flags: { ...PLACE_FLAGS, ...JSON_FLAG },
  answers: STATUS,
  async run({ values, io, out }) {
    const place = await placeOf(values, io)
    const name = await rolloutName(place, out)
    const snapshot = await takeSnapshot(place.store, name, io.clock.now())
    const exitCode = exitCodeOf(snapshot)
    if (values.json) out.json(statusJson(name, snapshot))
    else if (snapshot !== null) out.lines(statusLines(snapshot, place.command))
    else await tellMissing(place, name, out)
    return exitCode
  },
})

/** What `--json` says. */
export function statusJson(rollout: string, snapshot: Snapshot | null): Told<AnswerOf<typeof STATUS>> {
  return { ...statusDocument(rollout, snapshot), exitCode: exitCodeOf(snapshot) }
}

/** Say that there is no state, what there is instead, and what to do. */
export async function tellMissing(place: Place, name: string, out: Printer): Promise<void> {
  const others = await rolloutsIn(place.stateDir)
  out.line({ text: name, style: "bold" }, `: no state in ${place.shownState}`)
  if (others.length > 0) out.line(`  there: ${others.join(", ")}`)
  out.line(`  next: \`${place.command("start")}\` makes it`)
  out.line(
    `  if it was lost under a running process: \`${place.command("kill")}\` still stops the canary there; all else needs a restart`,
  )
}
