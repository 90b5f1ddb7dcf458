import { randomUUID } from "node:crypto"
import { hostname } from "node:os"
import process from "node:process"

/** Longest name of a process, characters; what is added to it fits into a part of a key. */
const MAX_NAME = 100

/** Name this process in this one run: what it counts begins anew with each start, and must not take the place of what was counted before. */
export function publisherId(name: string | undefined): string {
  const machine = `${hostname()}-${process.pid}`.replaceAll(/[^A-Za-z0-9_-]/g, "-").slice(-MAX_NAME)
  return `${name ?? machine}.${randomUUID().slice(0, 8)}`
}
