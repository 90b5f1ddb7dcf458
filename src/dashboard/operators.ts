import { bearer } from "../serve/bearer.js"
import type { DashboardAuthorize } from "./admission.js"

/**
 * Let those act who send `Authorization: Bearer <token>`, each in the name of their own token; they may read as well. `readers` says who else
 * may read; by default nobody. Throws `RangeError` as {@link bearer} does, and for two names with one token.
 */
export function operators(
  tokens: Readonly<Record<string, string>>,
  readers: (request: Request) => boolean | Promise<boolean> = () => false,
): DashboardAuthorize {
  const entries = Object.entries(tokens)
  const twice = entries.find(([, token], i) => entries.findIndex(([, other]) => other === token) !== i)
  if (twice !== undefined)
    throw new RangeError(`operators: ${twice[0]} has the token of somebody else; each needs one of their own`)
  const known = entries.map(([actor, token]) => ({ actor, isTheirs: bearer([token]) }))
  return async (request, access) => {
    // All of them are compared, whoever it is.
    const answers = await Promise.all(known.map(({ isTheirs }) => isTheirs(request, "read")))
    const found = known[answers.indexOf(true)]
    if (found !== undefined) return { actor: found.actor }
    return access === "read" && (await readers(request))
  }
}
