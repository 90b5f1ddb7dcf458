/**
 * Copy a list of plain records to its depth: classes that are given a list keep it, and push onto it later. An expression with the flag `g`
 * remembers where it was, and a copy begins at 0. Throws a `TypeError` for what cannot be copied, such as a function.
 */
export function ownCopy<T extends object>(name: string, list: readonly T[]): T[] {
  if (!Array.isArray(list) || list.some((one) => typeof one !== "object" || one === null)) {
    throw new TypeError(`${name} must be a list of objects`)
  }
  try {
    return structuredClone([...list])
  } catch (cause) {
    throw new TypeError(`${name} must be data, so that each release has a copy of its own`, { cause })
  }
}
