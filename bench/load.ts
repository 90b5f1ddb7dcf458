import { call, comparing } from "./guards.js"
import { paced, type Delay } from "./paced.js"
import { workOf } from "./shadow.js"

export interface Load {
  readonly rows: readonly Delay[]
  /** Share of the sampled calls that both releases had judged. */
  readonly coverage: number
}

const RATE = 20_000

/** 20,000 decisions a second, of sessions of 20 calls, each judged by both releases, beside the same calls by hand. */
export async function delaysUnderLoad(seconds: number): Promise<Load> {
  const judge = workOf(5)
  const guard = comparing(judge)
  let n = 0
  const rows = [
    await paced("nothing done", 0, seconds, () => {}),
    await paced("one policy of 5 µs by hand", RATE, seconds, () => void judge()),
    await paced("guarded and judged by both", RATE, seconds, () => {
      guard.session(`paced-${Math.floor(n++ / 20)}`).evaluate(call)
    }),
  ]
  await guard.idle()
  const { coverage } = guard.shadow()
  await guard.close()
  return { rows, coverage: coverage ?? 0 }
}

export function tellLoad({ rows, coverage }: Load): void {
  for (const { name, rate, p50, p99, max } of rows) {
    console.log(`event loop delay, ${name} (${rate}/s): p50 ${p50} ms, p99 ${p99} ms, max ${max} ms`)
  }
  console.log(`compared meanwhile: ${(coverage * 100).toFixed(1)} % of the sampled calls`)
}
