import type { Problem } from "../errors.js"
import { readConfig } from "./config-file.js"
import type { Manifest } from "./manifest.js"
import { readPatternPack } from "./pattern-pack.js"
import type { Monitor, Scanner } from "./ports.js"
import { readThresholds } from "./thresholds.js"
import type { TreeFile } from "./tree.js"

/** What a release has beside its policy, as far as it is data. */
export interface DataParts {
  /** By name. */
  readonly scanners: ReadonlyMap<string, Scanner>
  readonly monitor: Monitor | undefined
  readonly config: unknown
}

/** Read the pattern packs, the thresholds and the config of a release. Files that are missing were told of before. */
export function readDataParts(manifest: Manifest, files: readonly TreeFile[], problems: Problem[]): DataParts {
  const named = (name: string | undefined): TreeFile | undefined => files.find((file) => file.name === name)
  const scanners = new Map<string, Scanner>()
  for (const part of manifest.scanners) {
    const file = "patterns" in part ? named(part.patterns) : undefined
    const scanner = file && readPatternPack(part.name, file, problems)
    if (scanner) scanners.set(part.name, scanner)
  }
  const { monitor } = manifest
  const thresholds = monitor !== null && "thresholds" in monitor ? named(monitor.thresholds) : undefined
  const [config, schema] = [named(manifest.config?.file), named(manifest.config?.schema)]
  return {
    scanners,
    monitor: (thresholds && readThresholds(thresholds, problems)) ?? undefined,
    config: config === undefined || schema === undefined ? undefined : readConfig(config, schema, problems),
  }
}
