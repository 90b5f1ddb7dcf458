import { createHash } from "node:crypto"
import { approveByLink, linkStanding } from "../controller/approve-by-link.js"
import { isSerinError } from "../errors.js"
import { readGrant, type ApprovalGrant } from "../notify/approval-token.js"
import { phaseWords } from "../operate/next-step.js"
import { isUnderWay, phaseOf } from "../rollout/phase.js"
import type { RolloutState } from "../rollout/state.js"
import { MAX_REASON } from "./act.js"
import type { Context, Route } from "./route.js"

/**
 * Make the routes behind the link of a message: GET asks whether it is meant, and POST approves. Attack: a preview of a chat, or a
 * scanner of mail, which opens every link: a GET changes nothing, and its page has no script that could.
 */
export function approvalLinkRoutes({ stores, clock }: Context, keys: readonly string[]): readonly Route[] {
  const now = (): number => clock.now()
  return [
    {
      method: "GET",
      path: "approve",
      access: "own",
      async answer({ url, rollout }) {
        const token = url.searchParams.get("token") ?? ""
        const grant = grantFor(token, rollout, keys)
        if (grant === null) return unknown()
        if (stores === null) return page(405, "Not here", ["This server can only read."])
        const standing = await linkStanding(stores.store, grant, now())
        return standing.good ? question(grant, standing.state, token) : over(standing.why)
      },
    },
    {
      method: "POST",
      path: "approve",
      access: "own",
      async answer({ body, rollout }) {
        const { token, reason } = body
        const grant = typeof token === "string" ? grantFor(token, rollout, keys) : null
        if (grant === null) return unknown()
        if (stores === null) return page(405, "Not here", ["This server can only read."])
        if (typeof reason !== "string" || reason.trim() === "" || reason.length > MAX_REASON) {
          return page(422, "Why?", [
            `An approval says why, in ${MAX_REASON} characters at most. Go back, and write it.`,
          ])
        }
        try {
          const after = await approveByLink(stores.store, grant, reason.trim(), now)
          return page(200, "Approved", [
            `${after.rollout} goes on with the next look that passes; revision ${after.revision}.`,
            `The history says: approved by ${after.last.actor.id}, because “${after.last.reason}”.`,
          ])
        } catch (error) {
          if (!isSerinError(error) || error.code !== "TRANSITION_REFUSED") throw error
          return over(error.message)
        }
      },
    },
  ]
}

function grantFor(token: string, rollout: string, keys: readonly string[]): ApprovalGrant | null {
  const grant = readGrant(token, keys)
  return grant?.rollout === rollout ? grant : null
}

const unknown = (): Response =>
  page(403, "Not a link of ours", ["Nobody here has made it, or a part of it is missing."])
const over = (why: string): Response => page(409, "Nothing was done", [`${why}.`])

function question({ to, expires }: ApprovalGrant, state: RolloutState, token: string): Response {
  const phase = phaseOf(state)
  const next = isUnderWay(phase) ? state.spec.stages[phase.stage + 1] : undefined
  const goal = next === undefined ? "it is promoted" : `${next.weightBp / 100} % of new sessions`
  const form = `<form method="post" action="approve">
<input type="hidden" name="token" value="${escaped(token)}">
<label for="reason">Why</label>
<textarea id="reason" name="reason" required maxlength="${MAX_REASON}" rows="3"></textarea>
<button>Approve</button>
</form>`
  return page(
    200,
    `Approve ${state.canary ?? ""} of ${state.rollout}?`,
    [
      `It is ${phaseWords(phase)}, its evidence has passed, and it waits for somebody to say so. Next: ${goal}.`,
      `You approve in the name of the channel “${to}”: the link proves that you have it, and not who you are. It works once, until ${new Date(expires).toISOString()}.`,
    ],
    form,
  )
}

const STYLE = `:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}
body{max-width:34rem;margin:10vh auto;padding:0 1rem}
label,textarea,button{display:block;font:inherit}
textarea{box-sizing:border-box;width:100%;margin:.25rem 0 1rem}
button{padding:.5rem 1.5rem}`

/** A page without script, which nobody frames, and whose address, with the token in it, is told to nobody. */
function page(status: number, title: string, lines: readonly string[], form = ""): Response {
  const style = createHash("sha256").update(STYLE).digest("base64")
  const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="robots" content="noindex">
<title>${escaped(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>${escaped(title)}</h1>
${lines.map((line) => `<p>${escaped(line)}</p>`).join("\n")}
${form}
</main>
</body>
</html>
`
  return new Response(html, {
    status,
    headers: {
      "content-type": "text/html; charset=utf-8",
      "content-security-policy": `default-src 'none'; style-src 'sha256-${style}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'`,
    },
  })
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
}

/** Attack: a reason of the store, or a name, that is markup. */
const escaped = (text: string): string => text.replace(/[&<>"']/g, (char) => ENTITIES[char] ?? "")
