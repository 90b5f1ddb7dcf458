import type { ReadStore } from "../rollout/store.js"
import { readLabels, type LabelsOf } from "./label.js"
import type { DisagreementLog } from "./log.js"

/** Find the group of a call: by its draw, or in the log where there is one. Null: it is no call that the releases are known to disagree on. */
export async function groupOfExample(
  store: Pick<ReadStore, "get">,
  of: LabelsOf,
  example: string,
  log: DisagreementLog | null,
): Promise<string | null> {
  const { draws } = await readLabels(store, of)
  const drawn = draws.find((draw) => draw.example === example)?.group
  return drawn ?? (await log?.example(example))?.group ?? null
}
