import { randomUUID } from "node:crypto"
import { hostname } from "node:os"
import process from "node:process"
import { stateKey } from "../controller/keys.js"
import { createLeader } from "../controller/leader.js"
import type { Delivery } from "../controller/notifier.js"
import type { Report } from "../controller/report.js"
import { createWritingFollower } from "../controller/writing-follower.js"
import { isSerinError } from "../errors.js"
import { notifyPeople } from "../notify/notify-people.js"
import { phaseOf } from "../rollout/phase.js"
import type { RolloutState } from "../rollout/state.js"
import { sharedSource, type SharedSource } from "../sources/fleet.js"
import { prometheusSource } from "../sources/prometheus.js"
import type { EvidenceSource } from "../evidence/source.js"
import { z } from "zod"
import { TRANSITION_SCHEMA } from "../rollout/state-schema.js"
import { answers, PHASE, time } from "./answer.js"
import { defineCommand, JSON_FLAG, PLACE_FLAGS, usage, type Values } from "./command.js"
import { EXIT } from "./exit-code.js"
import type { Io } from "./io.js"
import { NAME_THEM } from "./keyed-store.js"
import { formatTime } from "../operate/format.js"
import { phaseWords } from "../operate/next-step.js"
import { NOTIFY_FLAG, notifyFileFor } from "./notify.js"
import { placeOf, rolloutName } from "./place.js"
import type { Place } from "./place.js"
import { SERVE_FLAGS, startServing } from "./serving.js"

/** What there is to tell: a line is written when it changes. */
interface News {
  readonly leads: boolean
  readonly problem: string | undefined
}

export const controllerCommand = defineCommand({
  notes: [
    "Of several controllers on one store one leads; another takes over within 4 s when it dies, at once when it ends.",
    "It tells people of what happens where a notify.yaml says whom; `serin notify --test` tries it.",
    "It writes a line for each revision and whenever it begins or ceases to lead, with --json a document a line.",
    "With --serve it does in one process what `serin serve` does, and takes its flags.",
    "With --prometheus it judges by what a server scraped; $SERIN_PROMETHEUS_TOKEN is sent along. What processes say of fuses and missing releases is not in it.",
  ],
  example: "serin controller --state /srv/serin/state",
  flags: {
    ...PLACE_FLAGS,
    ...NOTIFY_FLAG,
    prometheus: { type: "string", value: "URL", text: "read evidence from a Prometheus, and not from the store" },
    serve: { type: "boolean", text: "serve the store and the dashboard over HTTP as well" },
    ...SERVE_FLAGS,
    ...JSON_FLAG,
  },
  answers: answers(
    "serin/controller/1",
    z.object({
      at: time,
      rollout: z.string(),
      event: z.literal("revision"),
      revision: z.int(),
      phase: PHASE,
      last: TRANSITION_SCHEMA,
    }),
    /** `epoch` is null where it does not lead. */
    z.object({
      at: time,
      rollout: z.string(),
      event: z.literal("leads"),
      epoch: z.int().nullable(),
      by: z.string(),
      problem: z.string().optional(),
    }),
    /** With `--serve`. */
    z.object({
      at: time,
      rollout: z.string(),
      event: z.literal("serves"),
      url: z.string(),
      dashboard: z.string(),
      port: z.int(),
      state: z.string(),
      token: z.boolean(),
    }),
    /** What a channel was told of a revision. */
    z.object({
      at: time,
      rollout: z.string(),
      event: z.literal("told"),
      channel: z.string(),
      key: z.string(),
      kind: z.string(),
      outcome: z.string(),
      tries: z.int(),
      problem: z.string().optional(),
    }),
  ),
  async run({ values, io, out }) {
    const { clock, signal } = io
    refuseIdle(values)
    const place = await placeOf(values, io)
    requireWritable(place)
    const rollout = await rolloutName(place, out)
    const people = notifyFileFor(values.notify, place, io)
    const telling = people === null ? undefined : notifyPeople({ ...people, say: place.command })
    const { store } = place
    if (!place.signs) await requireUnsigned(place, rollout)
    const evidence =
      values.prometheus === undefined
        ? published(sharedSource({ store, rollout, clock }))
        : { source: scraped(values.prometheus, rollout, io) }
    // Before it leads: an address that cannot be had ends it.
    const serving = values.serve ? await startServing("controller", { values, io, out }, async () => place) : null
    if (serving !== null && values.json) out.json({ at: clock.now(), rollout, event: "serves", ...serving.document })
    else for (const line of serving?.lines ?? []) out.line(...line)
    const id = `${hostname()}/${process.pid}/${randomUUID().slice(0, 8)}`
    const follower = await createWritingFollower({ store, rollout, clock })
    const leader = createLeader({
      store,
      rollout,
      follower,
      clock,
      actor: { kind: "controller", id },
      ...evidence,
      notify: telling && { ...telling, onDelivery: tellDelivery },
    })
    let revision = 0
    let told: News | null = null

    function tellState(): void {
      const state = follower.current()
      // What is not written yet is in force in this process, which serves nobody.
      if (state === null || state.revision <= revision || follower.status().pending.length > 0) return
      revision = state.revision
      if (values.json)
        out.json({ at: clock.now(), rollout, event: "revision", revision, phase: phaseOf(state), last: state.last })
      else out.line(`${formatTime(clock.now())} ${rollout}: ${revisionWords(state)}`)
    }

    function tellDelivery({ channel, key, kind, outcome, tries, problem }: Delivery): void {
      const at = clock.now()
      if (values.json) out.json({ at, rollout, event: "told", channel, key, kind, outcome, tries, problem })
      else {
        const what =
          outcome === "delivered" ? `told ${channel}` : `did not tell ${channel}, and has given up: ${problem}`
        out.line(`${formatTime(at)} ${rollout}: ${what} (${kind}, ${key})`)
      }
    }

    function tellReport(report: Report): void {
      const news = { leads: leader.leading() !== null, problem: report.problem }
      if (news.leads === told?.leads && news.problem === told.problem) return
      told = news
      if (values.json)
        out.json({ at: clock.now(), rollout, event: "leads", epoch: leader.leading(), by: id, problem: news.problem })
      else {
        const who = news.leads ? `${id} leads` : `${id} does not lead`
        out.line(
          `${formatTime(clock.now())} ${rollout}: ${who}${news.problem === undefined ? "" : `: ${news.problem}`}`,
        )
      }
    }

    const unsubscribe = follower.onChange(tellState)
    const unheard = leader.onReport(tellReport)
    tellState()
    await leader.seated
    tellReport(await leader.tick())
    await ended(signal)
    unsubscribe()
    unheard()
    await leader.close()
    follower.close()
    await serving?.close()
    return EXIT.ok
  },
})

/** A flag that does nothing was meant to do something. */
function refuseIdle(values: { readonly serve: boolean } & Values<typeof SERVE_FLAGS>): void {
  const idle = (Object.keys(SERVE_FLAGS) as (keyof typeof SERVE_FLAGS)[]).find((flag) => values[flag] !== undefined)
  if (!values.serve && idle !== undefined) throw usage(`serin controller: --${idle} is of --serve; add it`)
}

const published = (source: SharedSource) => ({ source, diffs: source.diffs, processes: source.processes })

/** Throws `USAGE` for what is no address. */
function scraped(url: string, rollout: string, { env, clock }: Io): EvidenceSource {
  const token = env["SERIN_PROMETHEUS_TOKEN"]
  try {
    return prometheusSource({
      url,
      rollout,
      clock,
      ...(token ? { headers: { authorization: `Bearer ${token}` } } : {}),
    })
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof RangeError)) throw error
    throw usage(`serin controller: --prometheus: ${error.message}`)
  }
}

/** Who leads writes. Said at once: a controller that waits for ever looks as if all were well. */
function requireWritable({ readOnly, readsAlone, shownState }: Place): void {
  if (readOnly) throw usage(`serin controller: ${shownState} can only be read; name the store behind it with --state`)
  if (readsAlone) throw usage(`serin controller: the public keys let you read alone; ${NAME_THEM}`)
}

/** Nobody would follow what it writes without a key. A store that is away for now is no reason not to begin. */
async function requireUnsigned({ store }: Place, rollout: string): Promise<void> {
  await store.get(stateKey(rollout)).catch((error: unknown) => {
    if (isSerinError(error) && error.code === "STATE_UNTRUSTED") throw error
  })
}

function revisionWords(state: RolloutState): string {
  const { event, actor, reason } = state.last
  const holds = state.holds.map((hold) => hold.reason).join(", ")
  const held = holds === "" ? "" : `, held by ${holds}`
  return `${phaseWords(phaseOf(state))}, revision ${state.revision} (${event} by ${actor.id}: ${reason})${held}`
}

function ended(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }))
}
