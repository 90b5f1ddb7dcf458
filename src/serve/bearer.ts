import { createHash, timingSafeEqual } from "node:crypto"

/** What a request wants to do. */
export type Access = "read" | "publish"

/** Say whether a request may do what it asks for. A throw is a no. */
export type Authorize = (request: Request, access: Access) => boolean | Promise<boolean>

/** Tokens that open a store, by what they open. */
export interface BearerTokens {
  readonly read: readonly string[]
  /** Whoever may publish evidence may not read by that alone. */
  readonly publish: readonly string[]
}

/** Shorter ones can be guessed. */
const MIN_TOKEN = 16
/** Token characters of RFC 6750, 2.1. */
const TOKEN = /^[A-Za-z0-9._~+/-]+=*$/

/**
 * Let those in who send `Authorization: Bearer <token>`. With a list, each of its tokens may read and publish; name both lists to tell
 * them apart. More than one token a list is for rotation. Throws `RangeError` for a list without a token, and for a token that is
 * shorter than 16 characters or has others than a bearer token may have.
 */
export function bearer(tokens: readonly string[] | BearerTokens): Authorize {
  const lists: BearerTokens = "read" in tokens ? tokens : { read: tokens, publish: tokens }
  const allowed = { read: lists.read.map(checked), publish: lists.publish.map(checked) }
  if (allowed.read.length + allowed.publish.length === 0) {
    throw new RangeError("bearer needs one token at least; without any, nobody could get in")
  }
  return (request, access) => {
    const [, token] = /^bearer +(\S+)$/i.exec(request.headers.get("authorization") ?? "") ?? []
    if (token === undefined) return false
    const given = digest(token)
    // Attack: to learn a token byte by byte from how long its comparison takes. Digests are of one length, and all are compared.
    return allowed[access].reduce((found, one) => timingSafeEqual(one, given) || found, false)
  }
}

function checked(token: string): Buffer {
  if (token.length < MIN_TOKEN)
    throw new RangeError(`a token must have ${MIN_TOKEN} characters at least, got ${token.length}`)
  if (!TOKEN.test(token))
    throw new RangeError("a token may have A-Z, a-z, 0-9 and - . _ ~ + /, then =, and nothing else")
  return digest(token)
}

const digest = (token: string): Buffer => createHash("sha256").update(token).digest()
