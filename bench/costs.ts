import process from "node:process"
import { analysisCosts } from "./analysis.js"
import { leadCost } from "./leading.js"

// Started as it is published: bundled, and in a process that has done nothing else.

const [what = "", quick = ""] = process.argv.slice(2)
const isQuick = quick === "quick"

if (what === "analysis") {
  console.log(`${"CPU time, ms".padEnd(64)} ${"best".padStart(8)} ${"p50".padStart(8)}  aim`)
  for (const { name, best, p50, aim } of analysisCosts(isQuick ? [100_000] : [100_000, 1_000_000], isQuick ? 9 : 41)) {
    const held = aim === undefined ? "" : `  ${aim} (${p50 <= aim ? "kept" : best <= aim ? "kept at best" : "missed"})`
    console.log(`${name.padEnd(64)} ${best.toFixed(2).padStart(8)} ${p50.toFixed(2).padStart(8)}${held}`)
  }
} else {
  console.log("what a leader spends on a fleet in which each process publishes every 10 s")
  for (const processes of isQuick ? [100, 1_000] : [10, 100, 1_000]) {
    const { lookMs, share, kilobytes } = await leadCost(processes, 1_000 * processes, isQuick ? 5 : 20)
    const row = `${processes.toLocaleString("en-US")} processes, ${kilobytes.toFixed(1)} kB each`
    console.log(`${row.padEnd(64)} ${lookMs.toFixed(1).padStart(8)} ms a look, ${(share * 100).toFixed(1)} % of a core`)
  }
}
