import type { Release } from "serin"

/** Releases that do a little of everything: they differ, they fail now and then, they scan and they watch. */
export function release(version: "1" | "2"): Release {
  const isCanary = version === "2"
  let seen = 0
  return {
    version,
    config: { limit: isCanary ? 90 : 100 },
    policy: {
      evaluate({ input }) {
        if (isCanary && ++seen % 1000 === 0) throw new Error("a rule that does not hold")
        const { amount } = input as { readonly amount: number }
        if (amount > (isCanary ? 90 : 100)) return { outcome: "deny", rule: "large", reason: `${amount} is too much` }
        return amount === 7 ? "escalate" : "allow"
      },
    },
    scanners: [
      {
        name: "names",
        scan: (text) =>
          text.includes(isCanary ? "Ana" : "Ana M")
            ? { result: "flagged", findings: [{ category: "name" }] }
            : { result: "clean" },
      },
    ],
    monitor: { observe: (event) => (event === "odd" ? [{ name: "odd" }] : []) },
  }
}
