import { isSerinError } from "../errors.js"
import type { SerinErrorCode } from "../errors.js"
import type { Evidence } from "../model/evidence.js"
import type { NoData } from "../model/verdict.js"

/** Which evidence a source is asked for. */
export interface EvidenceQuery {
  readonly signal?: AbortSignal | undefined
  /** The generation that is judged: evidence of any other is of no use. */
  readonly generation?: number | undefined
  /** Salt of its state: a generation of the same number, from before the store went back, had another one. */
  readonly salt?: string | undefined
}

/**
 * Where the leader reads evidence. Null: there is none yet. A rejection is typed no-data, never a verdict: `EVIDENCE_MISSING` is `missing`,
 * `EVIDENCE_STALE` is `stale`, anything else `errored`.
 */
export interface EvidenceSource {
  read(query?: EvidenceQuery): Promise<Evidence | null>
  /** True: what it reads outlives the leader. The next one goes on from where the last was. */
  readonly lasting?: boolean | undefined
}

const KINDS: Partial<Record<SerinErrorCode, NoData>> = { EVIDENCE_MISSING: "missing", EVIDENCE_STALE: "stale" }

/** Say which kind of no data the rejection of a source is. */
export function noDataOf(error: unknown): NoData {
  return (isSerinError(error) ? KINDS[error.code] : undefined) ?? "errored"
}
