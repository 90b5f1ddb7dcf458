import type { Evidence } from "../model/evidence.js"

/** Where the leader reads evidence. Null: there is none yet. A rejection is typed no-data (`errored`), never a verdict. */
export interface EvidenceSource {
  read(options?: { readonly signal?: AbortSignal | undefined }): Promise<Evidence | null>
}
