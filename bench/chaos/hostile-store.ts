import type { ReadStore, Versioned } from "serin"

export type Reads = "honest" | "corrupt" | "replay"

/** A store whose answers an attacker may change: what was read is cut short, or one from before is given again. */
export function hostileStore(store: ReadStore, random: () => number) {
  let reads: Reads = "honest"
  const old = new Map<string, Versioned[]>()

  return {
    reads: (what: Reads) => void (reads = what),
    store: {
      caps: store.caps,
      watch: store.watch,
      async get(key, options) {
        const found = await store.get(key, options)
        if (found === null) return null
        const known = old.get(key) ?? []
        if (reads === "replay") return known[Math.floor(random() * known.length)] ?? found
        if (reads === "corrupt")
          return { ...found, envelope: found.envelope.slice(0, Math.floor(random() * found.envelope.length)) }
        if (known.at(-1)?.revision !== found.revision) old.set(key, [...known.slice(-20), found])
        return found
      },
    } satisfies ReadStore,
  }
}
