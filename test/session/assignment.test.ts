import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { armAt, rampIndexAt } from "../../src/session/arm.js"
import { BUCKETS, bucketOf, cohortOf, hash32, shadowBucketOf } from "../../src/session/bucket.js"
import { sharedIsThere, sharedPath, skipNote } from "../shared.js"

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

/** A UUIDv4 that is the same in every run. */
function uuidOf(n: number): string {
  const hex = createHash("sha256").update(String(n)).digest("hex")
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

interface Vectors {
  readonly multiplyShift: readonly { input: string; weights: (string | number)[][]; hash32: number; expected: string }[]
  readonly modulo: readonly {
    kind: "bucket" | "strategy" | "variant"
    input: string
    seed: number
    modulus: number
    hash32: number
    bucket: number
    rolloutPercent?: number
    expectedBucket?: number
    expectedEnabled?: boolean
    variants?: { name: string; weight: number }[]
    expectedVariant?: string
  }[]
  readonly preimages: readonly { input: string; seed: number; hash32: number }[]
}

describe("murmur3 x86 32 over UTF-8 bytes", () => {
  it.each([
    // Public values of the reference implementation (SMHasher / Wikipedia, "MurmurHash", test vectors).
    ["", 0, 0x00000000],
    ["", 1, 0x514e28b7],
    ["test", 0, 0xba6bd213],
    ["test", 0x9747b28c, 0x704b81dc],
    ["Hello, world!", 0, 0xc0363e43],
    ["Hello, world!", 0x9747b28c, 0x24884cba],
    ["The quick brown fox jumps over the lazy dog", 0, 0x2e4ff723],
    ["The quick brown fox jumps over the lazy dog", 0x9747b28c, 0x2fa826cd],
  ])("hashes %j with seed %d", (text, seed, expected) => {
    expect(hash32(bytes(text), seed)).toBe(expected)
  })

  skipNote(3, "vectors of two flag systems")
  const vectors = (): Vectors => JSON.parse(readFileSync(sharedPath("vectors/assignment.json"), "utf8")) as Vectors

  it.skipIf(!sharedIsThere)("agrees with every multiply-shift vector", () => {
    const { multiplyShift } = vectors()
    expect(multiplyShift.length).toBeGreaterThan(20)
    for (const vector of multiplyShift) {
      const hash = hash32(bytes(vector.input))
      expect(hash, vector.input).toBe(vector.hash32)
      const weights = vector.weights.map(([name, weight]) => [name, Math.max(0, Number(weight ?? 1))] as const)
      const total = weights.reduce((sum, [, weight]) => sum + weight, 0)
      const bucket = Math.floor((hash * total) / 2 ** 32)
      let cumulative = 0
      const arm = weights.find(([, weight]) => (cumulative += weight) > bucket)
      expect(arm?.[0], vector.input).toBe(vector.expected)
    }
  })

  it.skipIf(!sharedIsThere)("agrees with every modulo vector", () => {
    const { modulo } = vectors()
    expect(modulo.length).toBeGreaterThan(20)
    for (const vector of modulo) {
      const hash = hash32(bytes(vector.input), vector.seed)
      expect(hash, vector.input).toBe(vector.hash32)
      const bucket = (hash % vector.modulus) + 1
      if (vector.kind === "bucket") expect(bucket).toBe(vector.expectedBucket)
      if (vector.kind === "strategy") {
        const percent = vector.rolloutPercent ?? 0
        expect(percent > 0 && bucket <= percent).toBe(vector.expectedEnabled)
      }
      if (vector.kind === "variant") {
        let cumulative = 0
        const variant = vector.variants?.find(({ weight }) => (cumulative += weight) >= bucket)
        expect(variant?.name).toBe(vector.expectedVariant)
      }
    }
  })

  it.skipIf(!sharedIsThere)("reaches both ends of the range", () => {
    for (const { input, seed, hash32: expected } of vectors().preimages) {
      expect(hash32(bytes(input), seed)).toBe(expected)
    }
  })
})

describe("bucket, cohort and shadow bucket of a session", () => {
  it("stay in range for any text, a lone surrogate and a megabyte included", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.string({ unit: "binary", minLength: 1 }), (salt, id) => {
        for (const [value, n] of [
          [bucketOf(salt, id), BUCKETS],
          [cohortOf(salt, id), 64],
          [shadowBucketOf(salt, id), BUCKETS],
        ] as const) {
          expect(Number.isInteger(value) && value >= 0 && value < n).toBe(true)
        }
      }),
    )
    expect(bucketOf("salt", "\ud800")).toBe(bucketOf("salt", "\ufffd"))
    expect(bucketOf("salt", "x".repeat(2 ** 20))).toBeLessThan(BUCKETS)
  })

  it("refuses an empty id", () => {
    expect(() => bucketOf("salt", "")).toThrow(/session id.*empty/)
  })

  const ids = {
    uuids: () => Array.from({ length: 20_000 }, (_, i) => uuidOf(i)),
    sequential: () => Array.from({ length: 20_000 }, (_, i) => String(i)),
    emails: () => Array.from({ length: 20_000 }, (_, i) => `user.${i}@example.com`),
  }

  it.each(Object.keys(ids) as (keyof typeof ids)[])("give each share within binomial bounds for %s", (kind) => {
    const list = ids[kind]()
    for (const weightBp of [100, 500, 2500, 5000]) {
      const p = weightBp / BUCKETS
      const share = list.filter((id) => bucketOf("fixed-salt", id) < weightBp).length / list.length
      // Five standard deviations: one run in two million misses by chance.
      expect(Math.abs(share - p)).toBeLessThan(5 * Math.sqrt((p * (1 - p)) / list.length))
    }
  })

  it("are independent of each other and of another rollout", () => {
    const list = ids.sequential()
    const inA = list.filter((id) => bucketOf("rollout-a", id) < 2500)
    const near = (count: number, n: number, p: number): boolean =>
      Math.abs(count / n - p) < 5 * Math.sqrt((p * (1 - p)) / n)
    expect(near(inA.filter((id) => bucketOf("rollout-b", id) < 2500).length, inA.length, 0.25)).toBe(true)
    expect(near(inA.filter((id) => shadowBucketOf("rollout-a", id) < 2500).length, inA.length, 0.25)).toBe(true)
    expect(near(inA.filter((id) => cohortOf("rollout-a", id) < 16).length, inA.length, 0.25)).toBe(true)
  })

  it("keep salt and id apart", () => {
    expect(bucketOf("ab", "c")).not.toBe(bucketOf("a", "bc"))
  })
})

describe("arm", () => {
  const growing = fc
    .array(fc.tuple(fc.integer({ min: 0, max: 1000 }), fc.integer({ min: 0, max: 10_000 })), { maxLength: 6 })
    .map((points) => {
      const at = points.map(([t]) => t).sort((a, b) => a - b)
      const weights = points.map(([, w]) => w).sort((a, b) => a - b)
      return at.map((t, i) => ({ at: t, weightBp: weights[i]! }))
    })
  const bucket = fc.integer({ min: 0, max: BUCKETS - 1 })
  const time = fc.integer({ min: -100, max: 1100 })

  it("of a running session never changes when the ramp grows", () => {
    fc.assert(
      fc.property(growing, bucket, time, fc.integer({ min: 0, max: 10_000 }), (ramp, b, startedAt, weightBp) => {
        const later = [...ramp, { at: Math.max(startedAt + 1, ramp.at(-1)?.at ?? 0), weightBp }]
        expect(armAt(later, b, startedAt)).toBe(armAt(ramp, b, startedAt))
      }),
    )
  })

  it("once canary at a share is canary at every larger share", () => {
    fc.assert(
      fc.property(growing, bucket, time, time, (ramp, b, t1, t2) => {
        const [early, late] = t1 <= t2 ? [t1, t2] : [t2, t1]
        if (armAt(ramp, b, early) === "canary") expect(armAt(ramp, b, late)).toBe("canary")
      }),
    )
  })

  it("is stable before the ramp, at share 0 and on an empty ramp, and canary for all at 10 000", () => {
    expect(armAt([], 0, 5)).toBe("stable")
    expect(armAt([{ at: 10, weightBp: 10_000 }], 0, 9)).toBe("stable")
    expect(armAt([{ at: 10, weightBp: 0 }], 0, 10)).toBe("stable")
    expect(armAt([{ at: 10, weightBp: 10_000 }], 9999, 10)).toBe("canary")
    expect(armAt([{ at: 10, weightBp: 500 }], 499, 10)).toBe("canary")
    expect(armAt([{ at: 10, weightBp: 500 }], 500, 10)).toBe("stable")
  })

  it("takes the last of entries with the same time", () => {
    expect(
      rampIndexAt(
        [
          { at: 1, weightBp: 1 },
          { at: 1, weightBp: 2 },
        ],
        1,
      ),
    ).toBe(1)
  })
})
