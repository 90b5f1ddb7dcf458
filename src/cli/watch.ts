import { stateKey, reportKey } from "../controller/keys.js"
import { isSerinError } from "../errors.js"
import { STATUS } from "./status-answer.js"
import { defineCommand, JSON_FLAG, PLACE_FLAGS } from "./command.js"
import { EXIT } from "./exit-code.js"
import { formatTime } from "../operate/format.js"
import type { Io } from "./io.js"
import { phaseWords } from "../operate/next-step.js"
import { placeOf, rolloutName } from "./place.js"
import type { Line } from "./printer.js"
import { recentEvents } from "./recent-events.js"
import { takeScreen, type Size } from "./screen.js"
import { watchFrame, type Event } from "./watch-frame.js"
import { takeSnapshot, type Snapshot } from "../operate/snapshot.js"
import { statusJson } from "./status.js"

const EVERY_MS = 1000

/** What one look at the store gave. */
type Look = { readonly snapshot: Snapshot | null } | { readonly problem: string }

export const watchCommand = defineCommand({
  notes: [
    "On a terminal it takes the screen, and gives it back as it was; Ctrl-C ends it; elsewhere it writes a line for each change, with --json a document.",
  ],
  example: "serin watch",
  flags: { ...PLACE_FLAGS, ...JSON_FLAG },
  answers: STATUS,
  async run({ values, io, out }) {
    const place = await placeOf(values, io)
    const name = await rolloutName(place, out)
    let shown: string | null = null
    let wake = (): void => {}
    const screen = io.isTTY && !values.json ? takeScreen(io, () => wake()) : null
    const events = recentEvents(place.store, name)
    for (const key of [stateKey(name), reportKey(name)]) {
      place.store.watch(key, () => wake(), { signal: io.signal })
    }
    let last = ""
    try {
      await follow()
    } finally {
      // However it ends: a terminal without its cursor is of no use to anybody.
      screen?.leave()
    }
    if (screen !== null && last !== "") out.line(last)
    return EXIT.ok

    async function follow(): Promise<void> {
      while (!io.signal.aborted) {
        const woken = new Promise<void>((resolve) => (wake = resolve))
        const look = await lookAt()
        const change = changeOf(name, look)
        last = `${formatTime(io.clock.now())} ${change.text}`
        if (screen !== null) {
          const recent = "snapshot" in look && look.snapshot !== null ? await events(look.snapshot.state.revision) : []
          screen.draw((size) => frameOf(look, change.text, recent, size))
        } else if (change.key !== shown) {
          if (values.json)
            out.json("problem" in look ? { rollout: name, problem: look.problem } : statusJson(name, look.snapshot))
          else out.line(`${formatTime(io.clock.now())} ${change.text}`)
        }
        shown = change.key
        await next(io, woken)
      }
    }

    function frameOf(look: Look, text: string, recent: readonly Event[], size: Size): readonly Line[] {
      if ("problem" in look || look.snapshot === null) return [[{ text, style: "yellow" }]]
      return watchFrame(look.snapshot, recent, place.command, size)
    }

    async function lookAt(): Promise<Look> {
      try {
        return { snapshot: await takeSnapshot(place.store, name, io.clock.now()) }
      } catch (error) {
        if (!isSerinError(error)) throw error
        const problems = error.problems.map(({ where, message }) => `${where} ${message}`).join("; ")
        return { problem: `${error.code}: ${problems === "" ? error.message : problems}` }
      }
    }
  },
})

/** Wait for a hint of the store, the next look that is due, or the end. */
async function next({ clock, signal }: Io, woken: Promise<void>): Promise<void> {
  let end = (): void => {}
  const ended = new Promise<void>((resolve) => (end = resolve))
  const cancel = clock.schedule(end, EVERY_MS)
  signal.addEventListener("abort", end, { once: true })
  if (signal.aborted) end()
  await Promise.race([ended, woken])
  cancel()
  signal.removeEventListener("abort", end)
}

/** Say what there is in one line; `key` changes when it is worth another. */
function changeOf(name: string, look: Look): { readonly key: string; readonly text: string } {
  if ("problem" in look) return { key: look.problem, text: `${name}: ${look.problem}` }
  if (look.snapshot === null) return { key: "no state", text: `${name}: no state yet` }
  const { state, phase, verdict, judged } = look.snapshot
  const holds = state.holds.map(({ reason }) => reason).join(", ")
  const judgement = verdict === null ? "no verdict" : verdict.result
  const parts = [
    `${name}: ${phaseWords(phase)}`,
    `revision ${state.revision} (${state.last.event} by ${state.last.actor.id})`,
    ...(holds === "" ? [] : [`held by ${holds}`]),
    judgement,
    ...(judged ? [] : ["no process is judging"]),
  ]
  const results = verdict?.criteria.map(({ result }) => result) ?? []
  return { key: JSON.stringify([state.revision, state.last, judgement, results, judged]), text: parts.join(", ") }
}
