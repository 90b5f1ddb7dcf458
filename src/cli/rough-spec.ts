import { isScalar, parseDocument } from "yaml"
import { ROLLOUT_NAME, VERSION } from "../model/names.js"

/** What can be read of a rollout file that is not valid: enough to stop the rollout, and to check its releases. */
export interface RoughSpec {
  readonly rollout: string | null
  readonly versions: readonly string[]
}

export function readRoughly(text: string): RoughSpec {
  try {
    const document = parseDocument(text, { logLevel: "silent" })
    const written = (...path: string[]): string => {
      const node = document.getIn(path, true)
      return isScalar(node) ? (node.source ?? String(node.value)) : ""
    }
    const rollout = written("rollout")
    const versions = [written("stable"), written("canary", "release")].filter((version) => VERSION.test(version))
    return { rollout: ROLLOUT_NAME.test(rollout) ? rollout : null, versions: [...new Set(versions)] }
  } catch {
    // Lists nested by the thousand exhaust the parser's stack; a path through a scalar throws.
    return { rollout: null, versions: [] }
  }
}
