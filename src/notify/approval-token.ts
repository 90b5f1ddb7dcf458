import { createHmac, timingSafeEqual } from "node:crypto"
import { z } from "zod"
import { exactly } from "../rollout/json-document.js"
import { ROLLOUT_NAME } from "../model/names.js"

/** What whoever has the token may do: approve this one stage, as it was asked for in this revision. */
export interface ApprovalGrant {
  readonly rollout: string
  readonly generation: number
  /** Index in `spec.stages`. */
  readonly stage: number
  /** In which the approval was already asked for. */
  readonly revision: number
  /** The channel that was given the link: in its name the stage is approved. */
  readonly to: string
  /** Ms since the epoch. */
  readonly expires: number
}

/** What else a key may sign one day is none of these. */
const DOMAIN = "serin/approval/1"
const MIN_SECRET = 32
const MAX_TOKEN = 1024

const whole = z.int().min(0)
const GRANT = exactly<ApprovalGrant>({
  rollout: z.string().regex(ROLLOUT_NAME),
  generation: whole,
  stage: whole,
  revision: whole,
  to: z.string().min(1).max(63),
  expires: whole,
})

/** Read secrets: the first signs, others are on their way out. Throws `RangeError`, and shows nothing of them. */
export function approvalKeys(secret: string | readonly string[]): readonly [string, ...string[]] {
  const [first, ...others] = Array.isArray(secret) ? (secret as readonly string[]) : [secret as string]
  for (const one of [first, ...others]) {
    if (typeof one === "string" && one.length >= MIN_SECRET) continue
    throw new RangeError(
      `approvals.secret must have ${MIN_SECRET} characters at least, and be used for nothing else; make one: \`openssl rand -base64 32\``,
    )
  }
  return [first as string, ...others]
}

/** Write a grant so that nobody can change it. The same grant gives the same token: a message that is sent again has the same link. */
export function signGrant(grant: ApprovalGrant, [key]: readonly [string, ...string[]]): string {
  const { rollout, generation, stage, revision, to, expires } = grant
  const payload = Buffer.from(JSON.stringify({ rollout, generation, stage, revision, to, expires })).toString(
    "base64url",
  )
  return `${payload}.${sign(payload, key).toString("base64url")}`
}

/** Read what a token grants; null: nobody with a key has signed it. Whether it is still good is another question. */
export function readGrant(token: string, keys: readonly string[]): ApprovalGrant | null {
  if (token.length > MAX_TOKEN) return null
  const [payload = "", signature = "", ...more] = token.split(".")
  const given = Buffer.from(signature, "base64url")
  // Attack: to learn a signature byte by byte from how long its comparison takes. All keys are tried.
  const isSigned = keys
    .map((key) => sign(payload, key))
    .reduce((found, expected) => (given.length === expected.length && timingSafeEqual(given, expected)) || found, false)
  if (!isSigned || more.length > 0) return null
  try {
    const text = Buffer.from(payload, "base64url").toString("utf8")
    return GRANT.safeParse(JSON.parse(text)).data ?? null
  } catch {
    return null
  }
}

const sign = (payload: string, key: string): Buffer =>
  createHmac("sha256", key).update(`${DOMAIN}\n${payload}`).digest()
