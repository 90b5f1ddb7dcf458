const TOKEN = "serin-token"

export class Refused extends Error {
  /**
   * @param {number} status
   * @param {string} code
   * @param {string} message
   */
  constructor(status, code, message) {
    super(message)
    this.status = status
    this.code = code
  }
}

export const token = {
  /** Of this tab alone, and gone with it: no cookie that another page's request would bear. */
  get: () => sessionStorage.getItem(TOKEN) ?? "",
  /** @param {string} text */
  set: (text) => (text === "" ? sessionStorage.removeItem(TOKEN) : sessionStorage.setItem(TOKEN, text)),
}

/**
 * Ask the server below this page's own folder. Rejects with {@link Refused} for what it refuses.
 *
 * @param {string} path
 * @param {RequestInit} [init]
 */
export async function ask(path, init = {}) {
  const bearer = token.get()
  const headers = { ...init.headers, ...(bearer === "" ? {} : { authorization: `Bearer ${bearer}` }) }
  const response = await fetch(`api/${path}`, { ...init, headers, cache: "no-store", redirect: "error" })
  if (response.ok) return response
  /** @type {{ error?: { code?: string, message?: string } }} */
  const body = await response.json().catch(() => ({}))
  throw new Refused(
    response.status,
    body.error?.code ?? "FAILED",
    body.error?.message ?? `the server says ${response.status}`,
  )
}

/**
 * Have a verb done, or anything else that changes something.
 *
 * @param {string} path
 * @param {object} body
 */
export const post = (path, body) =>
  ask(path, {
    method: "POST",
    headers: { "content-type": "application/json", "serin-dashboard": "1" },
    body: JSON.stringify(body),
  }).then((response) => response.json())

/** Nothing for so long means that the stream is dead: the server sends something every 5 s, ms. */
const SILENT_MS = 15_000

/**
 * Read server-sent events until the signal ends it; resolves when the server ends it, rejects when it broke or fell silent. By `fetch`:
 * an `EventSource` cannot say who asks.
 *
 * @param {string} path
 * @param {AbortSignal} signal
 * @param {(event: string, data: any) => void} heard
 */
export async function listen(path, signal, heard) {
  const silent = new AbortController()
  const stop = () => silent.abort()
  signal.addEventListener("abort", stop, { once: true })
  let timer = setTimeout(stop, SILENT_MS)
  try {
    const response = await ask(path, { signal: silent.signal })
    if (response.body === null) return
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
    let text = ""
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      clearTimeout(timer)
      timer = setTimeout(stop, SILENT_MS)
      text += value
      const events = text.split("\n\n")
      text = events.pop() ?? ""
      for (const event of events) {
        const name = /^event: (.*)$/m.exec(event)?.[1]
        const data = /^data: (.*)$/m.exec(event)?.[1]
        if (name !== undefined && data !== undefined) heard(name, JSON.parse(data))
      }
    }
  } finally {
    clearTimeout(timer)
    signal.removeEventListener("abort", stop)
  }
}
