import { execFile, spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync } from "node:fs"
import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { afterAll, beforeAll, describe, expect, it } from "vitest"

const run = promisify(execFile)
const root = fileURLToPath(new URL("../..", import.meta.url))

let project = ""

interface Ran {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** Run the packed program itself; `until` a text is in its output, then it is told to end. */
async function serin(args: readonly string[], until?: RegExp): Promise<Ran> {
  const program = join(project, "package/dist/cli/main.js")
  const env = { ...process.env, SERIN_ACTOR: "ana", NO_COLOR: "1" }
  const child = spawn(process.execPath, [program, ...args], { cwd: project, env, stdio: ["ignore", "pipe", "pipe"] })
  let [out, err] = ["", ""]
  let told = false
  child.stderr.setEncoding("utf8").on("data", (text: string) => (err += text))
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    out += text
    if (told || until === undefined || !until.test(out)) return
    told = true
    child.kill("SIGTERM")
  })
  const timer = setTimeout(() => child.kill("SIGKILL"), 30_000)
  const [code] = (await once(child, "close")) as [number | null]
  clearTimeout(timer)
  return { code, out, err }
}

interface Step {
  /** What is typed. */
  readonly type: string
  readonly code?: number
  readonly says: RegExp
  readonly until?: RegExp
}

const NOTIFY = `channels:
  - command: { run: [node, -e, "process.stdin.resume()"] }
`

/** One rollout, from its beginning on. */
const ROLLOUT: readonly Step[] = [
  { type: "init --framework none", says: /wrote safety\/rollout\.yaml/ },
  { type: "validate", says: /a breach rolls back at once/ },
  { type: "status", code: 6, says: /no state/ },
  { type: "start", says: /in shadow/ },
  { type: "status --json", code: 12, says: /"format":\s*"serin\/status\/1"/ },
  { type: "promote --reason quick", says: /at 5 %/ },
  { type: "pause --reason lunch", says: /held by paused/ },
  { type: "resume", says: /at 5 %/ },
  { type: "approve --reason fine", code: 1, says: /this stage asks for no approval/ },
  { type: "explain", says: /no verdict/ },
  { type: "diffs", says: /no process/ },
  { type: "contain --reason unsure", says: /contained/ },
  { type: "status", code: 8, says: /contained/ },
  { type: "retry --reason again", says: /in shadow/ },
  { type: "rollback --reason no", says: /rolled back/ },
  { type: "status", code: 4, says: /rolled back/ },
  { type: "kill --reason stop", says: /killed/ },
  { type: "status", code: 5, says: /killed/ },
  { type: "history", says: /kill +- +ana +stop/ },
  { type: "history --verify", says: /WHOLE/ },
  { type: "verify", code: 6, says: /no verdict/ },
  { type: "watch --json", says: /"format":"serin\/status\/1"/, until: /\n/ },
  { type: "controller", says: /revision|leads/, until: /leads/ },
  { type: "serve --port 0", says: /dashboard at http/, until: /dashboard at .*\n/ },
  { type: "notify --test", says: /command/ },
  { type: "keygen state-key", says: /state-key\.pub/ },
  { type: "sign --state-key state-key --reason first", says: /signed/ },
  { type: "history --verify --state-key state-key", says: /WHOLE/ },
]

/** What needs its files alone, and can be done beside it. */
const FILES: readonly Step[] = [
  { type: "plan --sessions-per-minute 60", says: /newly_denied_rate_max/ },
  { type: "replay --calls calls.jsonl", code: 9, says: /1\.4\.0 → 1\.5\.0: 120 calls of 12 sessions/ },
  { type: "calibrate --calls calls.jsonl --runs 2 --sessions 50", says: /1\.4\.0 against itself/ },
  { type: "release keygen release-key", says: /release-key\.pub/ },
  { type: "release pack safety/releases/1.5.0", says: /1\.5\.0\.tgz/ },
  { type: "release sign safety/releases/1.5.0.tgz --key release-key", says: /signed/ },
  { type: "release verify safety/releases/1.5.0.tgz --keys release-key.pub", says: /1\.5\.0/ },
  { type: "release inspect safety/releases/1.5.0.tgz", says: /rules\.yaml/ },
  { type: "release diff safety/releases/1.4.0 safety/releases/1.5.0.tgz", says: /large-refund/ },
  { type: "schema status", says: /"\$schema"/ },
  { type: "completion bash", says: /complete -F/ },
]

async function tell(story: readonly Step[]): Promise<readonly string[]> {
  const wrong: string[] = []
  for (const { type, code = 0, says, until } of story) {
    if (type.startsWith("notify")) await writeFile(join(project, "safety/notify.yaml"), NOTIFY)
    const ran = await serin(type.split(" "), until)
    if (ran.code === code && says.test(ran.out + ran.err)) continue
    wrong.push(`serin ${type}: ${ran.code}, expected ${code} and ${says}\n${ran.out}${ran.err}`)
  }
  return wrong
}

/** As it is packed, beside the packages that it needs: how it is installed is tried elsewhere. */
beforeAll(async () => {
  if (!existsSync(join(root, "dist"))) throw new Error("dist/ is missing: run `npm run build` first")
  project = await mkdtemp(join(tmpdir(), "serin-verbs-"))
  const pack = ["pack", "--json", "--ignore-scripts", "--pack-destination", project]
  const { stdout } = await run("npm", pack, { cwd: root })
  const [{ filename }] = JSON.parse(stdout) as [{ filename: string }]
  await run("tar", ["-xzf", filename], { cwd: project })
  await symlink(join(root, "node_modules"), join(project, "node_modules"), "dir")
  const calls = Array.from({ length: 120 }, (_, i) => ({
    session: `s${i % 12}`,
    tool: i % 7 === 0 ? "issue_refund" : "get_order",
    input: { amount: i * 10 },
  }))
  await writeFile(join(project, "calls.jsonl"), calls.map((call) => JSON.stringify(call)).join("\n"))
})

afterAll(async () => {
  if (project !== "") await rm(project, { recursive: true, force: true })
})

describe("the packed program", () => {
  it("knows every verb, from the beginning of a rollout to its end, and says by its exit code what became of it", async () => {
    const [init, ...rest] = ROLLOUT
    expect(await tell([init!])).toEqual([])
    expect((await Promise.all([tell(rest), tell(FILES)])).flat()).toEqual([])
    const help = await serin(["help"])
    const verbs = [...help.out.matchAll(/^ {2}([a-z]+(?: [a-z]+)?) {2,}/gm)].map(([, verb]) => verb!)
    expect(verbs.length).toBeGreaterThan(30)
    const typed = [...ROLLOUT, ...FILES].map(({ type }) => `${type} `)
    expect(verbs.filter((verb) => !typed.some((type) => type.startsWith(`${verb} `)))).toEqual([])
  })
})
