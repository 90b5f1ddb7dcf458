import type { ParseArgsConfig } from "node:util"

export const OPTIONS = {
  json: { type: "string" },
  quick: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
} as const satisfies ParseArgsConfig["options"]

export const HELP = `npm run bench:peers -- [--json FILE] [--quick]

A canaried decision by serin beside the same by feature flag libraries; what is printed are the tables of
docs/reference/performance.md. The libraries are installed in bench/peers when they are not there.

--json FILE  write { node, sides, cpu, tail, garbage, aims }
--quick      fewer rounds`
