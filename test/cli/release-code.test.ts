import { describe, expect, it } from "vitest"
import { useBench } from "./harness.js"

const bench = useBench()

async function release(version: string, sdk: string, limit: number): Promise<void> {
  const dir = `safety/releases/${version}`
  const parts = `policy: { module: policy.mjs }\nmonitor: { thresholds: limits.yaml }\nsdk: ${sdk}\n`
  await bench().write(`${dir}/release.yaml`, `version: ${version}\n${parts}`)
  // What would be told if any command ran it.
  await bench().write(`${dir}/policy.mjs`, 'throw new Error("it was run")\n')
  const thresholds = [{ alert: "large", field: "amount", above: limit }]
  await bench().write(`${dir}/limits.yaml`, JSON.stringify({ thresholds }))
}

const ROLLOUT = `rollout: refunds
stable: 1.0.0
canary:
  release: 1.1.0
  acceptance_criteria: { error_rate_delta_max: 0.01 }
`

describe("a release that brings code", () => {
  it("is validated, verified, shown and compared by the command line without running it", async () => {
    await bench().write("safety/rollout.yaml", ROLLOUT)
    await release("1.0.0", "zod3", 500)
    await release("1.1.0", "zod4", 300)
    const run = async (...args: readonly string[]): Promise<string> => {
      const { code, out, err } = await bench().serin(...args)
      expect(`${code} ${err}`).toBe("0 ")
      return out
    }
    expect(await run("validate")).toContain("its code was not run: policy.mjs")
    expect(await run("release", "verify", "safety/releases/1.0.0")).toContain("code, not run here: policy.mjs")
    const shown = await run("release", "inspect", "safety/releases/1.0.0")
    expect(shown).toContain("the policy is a module")
    expect(shown).toContain("sdk zod3")
    const diff = await run("release", "diff", "safety/releases/1.0.0", "safety/releases/1.1.0")
    expect(diff).toContain("sdk zod3 → zod4")
    expect(diff).toContain("thresholds[large].above: 500 → 300")
  })

  it("is not valid when its data is not", async () => {
    await bench().write("safety/rollout.yaml", ROLLOUT)
    await release("1.0.0", "zod3", 500)
    await release("1.1.0", "zod4", 300)
    await bench().write("safety/releases/1.1.0/limits.yaml", "thresholds: []")
    const { code, err } = await bench().serin("validate")
    expect(code).not.toBe(0)
    expect(err).toContain("there is no threshold")
  })
})
