import { tellCosts } from "./compiled.js"
import { sizeOf } from "./documents.js"
import { requireKept } from "./guards.js"
import { delaysUnderLoad, tellLoad } from "./load.js"
import { rolloutRows } from "./rollouts.js"
import { changeCost, sessionRows } from "./sessions.js"
import { count, ns, tellRows } from "./table.js"

const ROLLOUTS = [2, 4, 8, 16, 32]

/** Tell what grows with what there is more of: sessions, rollouts, evaluations, processes, calls a second. */
export async function scale(rounds: number, quick: boolean): Promise<void> {
  const sessions = quick ? [1_000, 100_000] : [1_000, 1_000_000]
  tellRows([...rolloutRows([1, ...ROLLOUTS], rounds), ...sessionRows([1, ...sessions], rounds)])
  requireKept()

  console.log("\na change of who serves, where so many sessions are remembered")
  for (const live of [1_000, 20_000, ...(quick ? [] : [1_000_000])]) {
    const { ms, nextNs } = await changeCost(live, live > 100_000 ? 6 : rounds)
    console.log(
      `${count(live).padStart(12)} sessions  ${ms.toFixed(2).padStart(8)} ms, the next decision of each ${ns(nextNs)}`,
    )
  }

  console.log("\nevidence of one process: bytes of a published document, and of the arrays that count")
  for (const strata of [1, 2, 3, 4, 5, 6]) {
    for (const evaluations of quick ? [1_000, 100_000] : [1_000, 100_000, 1_000_000]) {
      const size = sizeOf(evaluations, strata)
      const row = `${count(size.evaluations).padStart(12)} evaluations, ${strata} strata`
      console.log(`${row.padEnd(48)} ${count(size.document).padStart(10)} B ${count(size.arrays).padStart(14)} B`)
    }
  }

  console.log("")
  await tellCosts("fleet", quick)
  console.log("")
  tellLoad(await delaysUnderLoad(quick ? 1 : 5))
}
