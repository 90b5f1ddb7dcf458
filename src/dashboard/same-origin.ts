/** What only a script of the page itself can send without being asked for leave first. */
export const PAGE_HEADER = "serin-dashboard"

/**
 * Say why a request that changes something is not the page's own; null: it is. Attack (CSRF): another site's page, or its form, sends a
 * request, and the browser adds what tells who the user is. Browsers say where a request comes from: `sec-fetch-site` over TLS and on this
 * machine, whatever a proxy made of the host; else `origin`, whose host is that which was asked.
 */
export function notTheSameOrigin({ headers }: Request): string | null {
  if (headers.get(PAGE_HEADER) === null) return `the header ${PAGE_HEADER} is missing`
  const site = headers.get("sec-fetch-site")
  if (site !== null) return site === "same-origin" ? null : `it comes from another place: sec-fetch-site is ${site}`
  const origin = headers.get("origin")
  if (origin === null) return "it does not say where it comes from: neither sec-fetch-site nor origin"
  return hostOf(origin) === (headers.get("host") ?? "").toLowerCase()
    ? null
    : "it comes from another place: origin is not this host"
}

function hostOf(origin: string): string | null {
  try {
    return new URL(origin).host
  } catch {
    return null
  }
}
