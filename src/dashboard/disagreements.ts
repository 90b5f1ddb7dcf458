import type { Disagreements } from "../disagreements/document.js"
import { drawNext, keepLabel, readLabels } from "../disagreements/label.js"
import { GROUP_ID, MAX_NOTE, SAYS } from "../disagreements/labels.js"
import { groupOfExample } from "../disagreements/group-of-example.js"
import { rarely } from "../disagreements/rarely.js"
import { storedDisagreements } from "../disagreements/stored.js"
import { wrongRate } from "../disagreements/wrong-rate.js"
import { disagreementLog, type DisagreementLog, type ReadEntries } from "../disagreements/log.js"
import { readState } from "../controller/verbs.js"
import { isSerinError } from "../errors.js"
import { keptAnswers } from "../model/kept-answers.js"
import { replayOne } from "../replay/one-call.js"
import type { ReplayableRelease } from "../replay.js"
import { invalid, json, readOnly, Refusal } from "./answer.js"
import type { Asked, Context, Route } from "./route.js"

/** What calls are shown from, and replayed with. */
export interface Explored {
  /**
   * Reads a decision log from its beginning: `(onProblem) => readDecisionLog(path, { onProblem })`. Its calls are shown to those who may act, and
   * to nobody else; it is read every 30 s at the most, and for each call that is replayed.
   */
  readonly log?: ReadEntries | undefined
  /** Releases by version: those that judged the call that is replayed. */
  readonly releases?: Releases | undefined
}

/** Where releases are found by version. */
export interface Releases {
  get(version: string): ReplayableRelease | undefined | Promise<ReplayableRelease | undefined>
}

/** Many watch, and reports come every 5 s, ms. */
const SHARED_MS = 2000
/** Versions that a log names; those in force are the first. */
const MOST_LOADED = 8

/** Where the releases disagree; and, for those who may act, calls of it, draws, labels and replays. */
export function disagreementRoutes(context: Context): readonly Route[] {
  const { read, stores, clock, explored = {} } = context
  const loaded = new Map<string, Promise<ReplayableRelease | undefined>>()
  const log = explored.log === undefined ? null : rarely(disagreementLog(explored.log), clock)

  const looks = keptAnswers<number, Disagreements | null>()

  /** Whoever asks within two seconds is answered by the same look. */
  function shared(rollout: string): Promise<Disagreements | null> {
    const now = clock.monotonic()
    const isFresh = (at: number): boolean => now - at < SHARED_MS
    return looks.get(rollout, now, isFresh, () => storedDisagreements(read, rollout, clock.now(), null))
  }

  /** The generation that was seen, where it is the one in force. */
  async function generationOf({ rollout, body }: Asked): Promise<{ rollout: string; generation: number }> {
    const state = await readState(read, rollout)
    if (state === null) throw new Refusal(404, "NOT_FOUND", `${rollout} has no state`)
    const { generation } = state
    if (body["generation"] === generation) return { rollout, generation }
    throw new Refusal(409, "CHANGED", `it is generation ${generation} by now; look again`, { generation })
  }

  function logged(): DisagreementLog {
    if (log === null) throw new Refusal(422, "NO_LOG", "this dashboard was given no decision log")
    return log
  }

  function writable() {
    if (stores === null) throw readOnly()
    return stores.store
  }

  return [
    {
      method: "GET",
      path: "disagreements",
      access: "read",
      async answer({ rollout }) {
        const found = await shared(rollout)
        if (found === null) throw new Refusal(404, "NOT_FOUND", `${rollout} has no state`)
        return json({
          ...found,
          shows: { calls: log !== null, replays: log !== null && explored.releases !== undefined },
        })
      },
    },
    {
      method: "POST",
      path: "disagreements/calls",
      access: "act",
      async answer(asked) {
        const of = await generationOf(asked)
        const { groups, notes } = await logged().examples(of)
        return json({ examples: groups.get(textIn(asked, "group", GROUP_ID))?.examples ?? [], notes })
      },
    },
    {
      method: "POST",
      path: "disagreements/draw",
      access: "act",
      async answer(asked) {
        const of = await generationOf(asked)
        const scope = textIn(asked, "scope", /^(all|[0-9a-f]{10})$/)
        const { population } = await logged().examples(of)
        const draw = await drawNext(writable(), of, population, { scope, by: nameIn(asked), at: clock.now() })
        return json({ draw, example: draw === null ? null : await logged().example(draw.example) })
      },
    },
    {
      method: "POST",
      path: "disagreements/label",
      access: "act",
      async answer(asked) {
        const { body } = asked
        const of = await generationOf(asked)
        const store = writable()
        const says = SAYS.find((one) => one === body["says"])
        if (says === undefined) throw invalid(`says must be ${SAYS.join(" or ")}`)
        const note = body["note"]
        if (note !== undefined && (typeof note !== "string" || note.length > MAX_NOTE))
          throw invalid(`note must be a text of ${MAX_NOTE} characters at the most`)
        const example = body["example"] === null ? null : textIn(asked, "example", /^.{1,128}$/)
        const group =
          example === null ? textIn(asked, "group", GROUP_ID) : await groupOfExample(store, of, example, log)
        if (group === null)
          throw invalid("example was not drawn, and is no call of the log that the releases disagree on")
        const label = { group, example, says, by: nameIn(asked), at: clock.now(), note: note === "" ? undefined : note }
        await keepLabel(store, of, label)
        looks.forget(asked.rollout)
        const said = await readLabels(store, of)
        return json({ label, wrongRate: wrongRate(said, "all") })
      },
    },
    {
      method: "POST",
      path: "disagreements/replay",
      access: "act",
      async answer(asked) {
        const judged = await logged().call(textIn(asked, "id", /^.{1,128}$/))
        if (judged === null || judged.decision.rollout !== asked.rollout)
          throw new Refusal(404, "NOT_FOUND", "the log has no such call that both releases judged")
        const { pair } = judged
        const stable = await releaseOf(pair.stable.release)
        const canary = await releaseOf(pair.canary.release)
        return json(await replayOne({ stable, canary, ...judged, clock }))
      },
    },
  ]

  async function releaseOf(version: string): Promise<ReplayableRelease> {
    const { releases } = explored
    if (releases === undefined) throw new Refusal(422, "NO_RELEASES", "this dashboard was given no releases")
    // Loaded once: they may bring workers. One that cannot be is asked for again the next time.
    const loading = loaded.get(version) ?? (async () => releases.get(version))()
    if (loaded.size < MOST_LOADED) loaded.set(version, loading)
    const release = await loading.catch((error: unknown) => {
      loaded.delete(version)
      if (!isSerinError(error)) throw error
      context.tell(error)
    })
    if (release !== undefined) return release
    loaded.delete(version)
    throw new Refusal(422, "NO_RELEASES", `release ${version} cannot be loaded here`)
  }
}

/** With `act`, somebody has a name. */
const nameIn = ({ actor }: Asked): string => actor?.id ?? ""

function textIn({ body }: Asked, field: string, form: RegExp): string {
  const value = body[field]
  if (typeof value === "string" && form.test(value)) return value
  throw invalid(`${field} must be the id of one that was shown`)
}
