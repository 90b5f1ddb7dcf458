/** Hooks by event, as `query()` takes them. */
export type HookMap = { readonly [event: string]: readonly object[] | undefined }

/**
 * Join sets of hooks: all of them are asked, those of the first set first. Of several answers about one call the SDK keeps the strictest, so
 * a denial stands beside a hook that allows. Throws `TypeError` for a set that is none.
 */
export function mergeHooks<H extends HookMap>(...sets: readonly (H | undefined)[]): H
/** Where the sets differ in their events: the type is that of the option that they are for. */
export function mergeHooks<H extends HookMap>(...sets: readonly (NoInfer<H> | undefined)[]): H
export function mergeHooks(...sets: readonly (HookMap | undefined)[]): HookMap {
  const merged = new Map<string, object[]>()
  for (const set of sets) {
    if (set === undefined) continue
    if (typeof set !== "object" || set === null)
      throw new TypeError(`mergeHooks: hooks must be an object, got ${String(set)}`)
    for (const [event, matchers] of Object.entries(set)) {
      if (matchers === undefined) continue
      if (!Array.isArray(matchers)) throw new TypeError(`mergeHooks: hooks of ${event} must be an array of matchers`)
      merged.set(event, [...(merged.get(event) ?? []), ...(matchers as readonly object[])])
    }
  }
  return Object.fromEntries(merged)
}
