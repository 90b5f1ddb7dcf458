import { spawnSync } from "node:child_process"
import { rmSync } from "node:fs"
import { bundle } from "../scripts/bundle.js"

/** Tell what the leader does each time it looks, compiled as it is published, in a process that has done nothing else. */
export async function tellCosts(what: "analysis" | "fleet", quick: boolean): Promise<void> {
  const programs = await bundle(["bench/costs.ts"])
  try {
    const args = [programs.path("bench/costs.ts"), what, quick ? "quick" : "whole"]
    const { status } = spawnSync(process.execPath, args, { stdio: "inherit" })
    if (status !== 0) throw new Error(`bench/costs.ts ended with ${status}`)
  } finally {
    rmSync(programs.folder, { recursive: true, force: true })
  }
}
