import { readFileSync } from "node:fs"
import { dirname, resolve } from "node:path"
import { command } from "../channels/command.js"
import { slack } from "../channels/slack.js"
import { webhook } from "../channels/webhook.js"
import { describeProblems, SerinError } from "../errors.js"
import { whyUnread } from "../model/file-error.js"
import { approvalKeys } from "../notify/approval-token.js"
import type { MessageKind } from "../notify/message.js"
import type { ChannelOptions, NotifyChannel } from "../notify/notify-channel.js"
import { notifyPeople, type NotifyPeopleOptions } from "../notify/notify-people.js"
import { openYaml, type YamlMap, type YamlValue } from "../rollout/yaml-value.js"
import type { Io } from "./io.js"

export type NotifyFile = Pick<NotifyPeopleOptions, "channels" | "dashboardUrl" | "approvals">

type Outside = Pick<Io, "env">

/**
 * Read whom a controller tells: `notify.yaml`. Secrets are named, not written: `{ env: NAME }` or `{ file: PATH }`, from the folder of the
 * file. Throws `NOTIFY_INVALID` whose `problems` name every line that is wrong.
 */
export function readNotifyFile(path: string, shown: string, io: Outside): NotifyFile {
  const { root, problems } = openYaml(readText(path, shown), shown)
  const file = root === undefined ? undefined : readRoot(root, { io, dir: dirname(path) })
  const found = problems()
  if (file !== undefined && found.length === 0) return file
  throw new SerinError("NOTIFY_INVALID", `${shown} does not say whom to tell\n${describeProblems(found)}`, {
    problems: found,
  })
}

interface Place {
  readonly io: Outside
  readonly dir: string
}

function readRoot(root: YamlValue, place: Place): NotifyFile | undefined {
  const map = root.map(["channels", "dashboard_url", "approvals"])
  if (map === undefined) return undefined
  const channels = map.require(
    "channels",
    (list) => list.list()?.map((one) => readChannel(one, place)),
    "name one at least",
  )
  const dashboardUrl = map.get("dashboard_url", readWord)
  const approvals = map.get("approvals", (value) => {
    const inner = value.map(["secret", "channels"])
    const secret = inner?.require("secret", (one) => readSecret(one, place), "name it: { env: SERIN_APPROVAL_SECRET }")
    const names = inner?.require("channels", readWords, "name those that may approve")
    if (secret === undefined || names === undefined) return undefined
    return attempt(value, () => ({ secret: approvalKeys(secret), channels: names }))
  })
  const whole = channels?.filter((channel) => channel !== undefined)
  if (whole === undefined || whole.length !== channels?.length) return undefined
  const file = { channels: whole, dashboardUrl, approvals }
  return attempt(root, () => (notifyPeople(file), file))
}

const OWN = {
  webhook: ["name", "on", "url", "secret", "timeout_ms", "allow_http"],
  slack: ["name", "on", "url", "timeout_ms", "allow_http"],
  command: ["name", "on", "run", "timeout_ms"],
} as const

/** `- slack: { url: { env: SLACK_URL } }`. */
function readChannel(value: YamlValue, place: Place): NotifyChannel | undefined {
  const map = value.map(["webhook", "slack", "command"])
  const [kind, more] = (map?.keys ?? []) as (keyof typeof OWN)[]
  if (map === undefined) return undefined
  if (kind === undefined || more !== undefined) {
    return value.fail("must be one channel", "begin each with a dash of its own: - slack: { url: { env: SLACK_URL } }")
  }
  return map.get(kind, (own) => {
    const options = own.map(OWN[kind])
    if (options === undefined) return undefined
    const base = baseOf(options)
    switch (kind) {
      case "slack": {
        const url = options.require("url", (one) => readSecret(one, place), "name it: { env: SLACK_URL }")
        return url === undefined ? undefined : attempt(own, () => slack({ ...base, ...httpOf(options), url }))
      }
      case "webhook": {
        const url = options.require("url", (one) => readAddress(one, place), "write https://host/path")
        const secret = options.require(
          "secret",
          (one) => readSecret(one, place),
          "name it: { env: SERIN_WEBHOOK_SECRET }",
        )
        if (url === undefined || secret === undefined) return undefined
        return attempt(own, () => webhook({ ...base, ...httpOf(options), url, secret }))
      }
      case "command": {
        const run = options.require("run", readWords, "write [./page.sh, --urgent]")
        return run === undefined ? undefined : attempt(own, () => command({ ...base, run, cwd: place.dir }))
      }
    }
  })
}

function baseOf(options: YamlMap): ChannelOptions & { readonly timeoutMs?: number | undefined } {
  const on = options.get("on", readWords)
  // A kind that there is not is refused where the channel is made.
  return {
    name: options.get("name", readWord),
    on: on as readonly MessageKind[] | undefined,
    timeoutMs: options.get("timeout_ms", readNumber),
  }
}

const httpOf = (options: YamlMap) => ({ allowHttp: options.get("allow_http", readFlag) })

/** What the options of a channel say of themselves is told at its place. */
function attempt<T>(value: YamlValue, make: () => T): T | undefined {
  try {
    return make()
  } catch (error) {
    if (!(error instanceof TypeError) && !(error instanceof RangeError)) throw error
    return value.fail(`cannot be: ${error.message}`)
  }
}

/** An address that is no secret may stand in the file. */
const readAddress = (value: YamlValue, place: Place): string | undefined =>
  value.kind === "scalar" ? readWord(value) : readSecret(value, place)

/** A secret that stands in the file is in its history, and in every copy of it: only who says `clear` means that. */
function readSecret(value: YamlValue, { io, dir }: Place): string | undefined {
  if (value.kind !== "map") {
    return value.fail(
      "is a secret, and stands in the file",
      "name it: { env: NAME } or { file: PATH }; { clear: … } means it",
    )
  }
  const map = value.map(["env", "file", "clear"])
  const [way, more] = map?.keys ?? []
  if (map === undefined) return undefined
  if (way === undefined || more !== undefined)
    return value.fail("must name one place", "{ env: NAME } or { file: PATH }")
  const clear = map.get("clear", readWord)
  if (way === "clear") return clear
  return map.get(way, (one) => {
    const name = readWord(one)
    if (name === undefined) return undefined
    const text = way === "env" ? io.env[name] : readFileOrNull(resolve(dir, name))
    if (text === undefined || text === null || text.trim() === "") {
      return one.fail(
        way === "env" ? `names $${name}, which is not set` : `names ${name}, which is empty or cannot be read`,
      )
    }
    return text.trim()
  })
}

function readFileOrNull(path: string): string | null {
  try {
    return readFileSync(path, "utf8")
  } catch {
    return null
  }
}

function readText(path: string, shown: string): string {
  try {
    return readFileSync(path, "utf8")
  } catch (cause) {
    const message = `${shown} cannot be read: ${whyUnread(cause)}; --notify says where it is`
    throw new SerinError("NOTIFY_INVALID", message, { cause })
  }
}

const readWord = (value: YamlValue): string | undefined =>
  typeof value.scalar === "string" ? value.scalar : value.fail("must be a text")

const readNumber = (value: YamlValue): number | undefined =>
  typeof value.scalar === "number" ? value.scalar : value.fail("must be a number of ms")

const readFlag = (value: YamlValue): boolean | undefined =>
  typeof value.scalar === "boolean" ? value.scalar : value.fail("must be true or false")

function readWords(value: YamlValue): readonly string[] | undefined {
  const words = value.list()?.map(readWord)
  return words?.every((word) => word !== undefined) === true ? words : undefined
}
