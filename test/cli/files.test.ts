import { mkdir, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { beforeEach, describe, expect, it } from "vitest"
import { useBench } from "./harness.js"

const bench = useBench()

beforeEach(async () => {
  await bench().serin("init", "safety")
  await mkdir(join(bench().cwd, "folder"))
  await writeFile(join(bench().cwd, "file"), "no key\n")
})

/** What stderr says first, and the exit code. */
async function told(...argv: string[]): Promise<string> {
  const { code, err } = await bench().serin(...argv)
  return `${code} ${err.split("\n", 1)[0]}`
}

describe("a file that a command was given and cannot read", () => {
  it.each([
    [
      ["validate", "--spec-only", "--rollout", "folder"],
      "1 SPEC_INVALID: the rollout file folder cannot be read: it is a folder; name a file",
    ],
    [["verify", "none.json"], "1 VERDICT_INVALID: none.json cannot be read: there is no such file"],
    [["verify", "folder"], "1 VERDICT_INVALID: folder is a folder; name a file"],
    [
      ["verify", "file/record.json"],
      "1 VERDICT_INVALID: file/record.json cannot be read: a part of its path is a file",
    ],
    [["status", "--state-key", "none"], "2 USAGE: serin: --state-key none cannot be read: there is no such file"],
    [
      ["status", "--state-key", "folder"],
      "2 USAGE: serin: --state-key folder cannot be read: it is a folder; name a file",
    ],
    [
      ["status", "--state-key", "file"],
      "2 USAGE: serin: --state-key file cannot be used: it holds no private key in PEM",
    ],
    [["status", "--trusted-keys", "none"], "2 USAGE: serin: --trusted-keys none cannot be read: there is no such file"],
    [
      ["release", "verify", "safety/releases/1.5.0", "--keys", "none"],
      "2 USAGE: serin release verify: --keys none cannot be read: there is no such file",
    ],
    [["replay", "--calls", "none.jsonl"], "1 CALLS_INVALID: none.jsonl: cannot be read: there is no such file"],
    [["replay", "--calls", "folder"], "1 CALLS_INVALID: folder: cannot be read: it is a folder; name a file"],
    [
      ["serve", "--token-file", "none"],
      "2 USAGE: serin serve: --token-file none cannot be read: there is no such file",
    ],
    [
      ["serve", "--operator-file", "folder"],
      "2 USAGE: serin serve: --operator-file folder cannot be read: it is a folder; name a file",
    ],
    [
      ["serve", "--approval-secret", "none"],
      "2 USAGE: serin serve: --approval-secret none cannot be read: there is no such file",
    ],
    [["diffs", "--log", "folder"], "1 DECISION_LOG_UNAVAILABLE: the decision log folder is a folder; name a file"],
    [["diffs", "--log", "none"], "1 DECISION_LOG_UNAVAILABLE: there is no decision log none"],
  ])("is named with its option, why, and what to do: serin %j", async (argv, message) => {
    if (argv[0] === "diffs") await bench().serin("start")
    expect(await told(...argv)).toBe(message)
  })
})

describe("a file that a command cannot write", () => {
  it.each([
    [["init", "file"], "2 USAGE: serin init: file/rollout.yaml cannot be written: a part of its path is a file"],
    [
      ["keygen", "none/key"],
      "2 USAGE: serin keygen: none/key cannot be written: its folder is not there; make it first",
    ],
    [
      ["release", "pack", "safety/releases/1.5.0", "--out", "folder"],
      "2 USAGE: serin release pack: folder cannot be written: it is a folder; name a file",
    ],
    [
      ["release", "pack", "safety/releases/1.5.0", "--out", "file/x.tgz"],
      "2 USAGE: serin release pack: file/x.tgz cannot be written: a part of its path is a file",
    ],
  ])("is named, with why and what to do: serin %j", async (argv, message) => {
    expect(await told(...argv)).toBe(message)
  })
})
