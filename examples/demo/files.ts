import { mkdir, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { rulesYaml } from "./rules.js"
import type { Scenario } from "./scenarios.js"

export const STABLE = "1.4.0"
export const CANARY = "1.5.0"

/** The rollout of every act, as somebody would write it. */
export const ROLLOUT_YAML = `rollout: demo-agent
stable: ${STABLE}
canary:
  release: ${CANARY}
  shadow: { period: "30m" }
  traffic_percentage: 5
  observation_period: "30m"
  acceptance_criteria:
    error_rate_delta_max: 0.01
    latency_p99_delta_max: "50ms"
    deny_rate_delta_max: 0.02
    escalate_rate_delta_max: 0.02
    newly_denied_rate_max: 0.01
    newly_allowed_rate_max: 0
  on_failure: "rollback"
`

/** Write `rollout.yaml` and both releases below a folder: what a user has in `safety/`. */
export async function writeSafety(
  folder: string,
  { stable, canary }: Scenario,
): Promise<{ readonly rollout: string; readonly releases: string }> {
  const rollout = join(folder, "rollout.yaml")
  const releases = join(folder, "releases")
  await writeFile(rollout, ROLLOUT_YAML)
  for (const [version, rules] of [
    [STABLE, stable],
    [CANARY, canary],
  ] as const) {
    const release = join(releases, version)
    await mkdir(release, { recursive: true })
    await writeFile(join(release, "release.yaml"), `version: ${version}\npolicy: { engine: rules }\n`)
    await writeFile(join(release, "rules.yaml"), rulesYaml(rules))
  }
  return { rollout, releases }
}
