import type { ScanResult } from "../model/decision.js"

/** One arm's result, with the scanner that decided it and what it found first. */
export interface ScanDiffSide {
  readonly result: ScanResult
  readonly scanner?: string | undefined
  readonly category?: string | undefined
}

/** How often the arms' scanners disagreed in one way. Holds no text: safe to store and to show. */
export interface ScanDiff {
  readonly direction: "input" | "output"
  readonly stable: ScanDiffSide
  readonly canary: ScanDiffSide
  readonly scans: number
}

export interface ScanDiffs {
  record(direction: ScanDiff["direction"], stable: ScanDiffSide, canary: ScanDiffSide): void
  /** Most frequent first. */
  list(): readonly ScanDiff[]
}

const MAX_CATEGORY = 128

/** Count disagreements by direction, scanner and category. Past `limit` groups, new ones count by direction and results alone. */
export function createScanDiffs(limit = 200): ScanDiffs {
  const groups = new Map<string, { -readonly [K in keyof ScanDiff]: ScanDiff[K] }>()

  function find(direction: ScanDiff["direction"], stable: ScanDiffSide, canary: ScanDiffSide, roomy: boolean) {
    const key = JSON.stringify([direction, stable, canary])
    let group = groups.get(key)
    if (group === undefined && (!roomy || groups.size < limit)) {
      groups.set(key, (group = { direction, stable, canary, scans: 0 }))
    }
    return group
  }

  return {
    record(direction, stable, canary) {
      const group =
        find(direction, sideOf(stable), sideOf(canary), true) ??
        find(direction, { result: stable.result }, { result: canary.result }, false)
      group!.scans += 1
    },
    list: () => [...groups.values()].sort((a, b) => b.scans - a.scans).map((group) => ({ ...group })),
  }
}

const sideOf = ({ result, scanner, category }: ScanDiffSide): ScanDiffSide => ({
  result,
  scanner,
  category: category?.slice(0, MAX_CATEGORY),
})
