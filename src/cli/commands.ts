import type { Command, DefinedCommand, Verb } from "./command.js"

/** A verb of which nothing is loaded yet. */
export interface ListedVerb extends Verb {
  load(): Promise<Command>
}

const verb = (name: string, summary: string, load: () => Promise<DefinedCommand>): ListedVerb => ({
  name,
  summary,
  load: async () => (await load())({ name, summary }),
})

/** Every verb of `serin`, in the order in which a rollout meets them. Each is loaded when it is run: a kill waits for no replay. */
export const VERBS: readonly ListedVerb[] = [
  verb(
    "init",
    "Write a working rollout with two releases to begin from, and the code that guards your agent's tools by it",
    async () => (await import("./init.js")).initCommand,
  ),
  verb(
    "validate",
    "Check the rollout file and both releases; say what the rollout will do",
    async () => (await import("./validate.js")).validateCommand,
  ),
  verb(
    "calibrate",
    "Try a release against itself on recorded calls: how sure it is, how often it would be stopped by mistake, which limits it bears",
    async () => (await import("./calibrate.js")).calibrateCommand,
  ),
  verb(
    "plan",
    "Say before the start how long each criterion takes at your traffic, and how many sessions a broken canary would reach",
    async () => (await import("./plan.js")).planCommand,
  ),
  verb(
    "replay",
    "Have both releases judge recorded calls, and say where they differ; the exit code says whether a budget is exceeded",
    async () => (await import("./replay.js")).replayCommand,
  ),
  verb(
    "start",
    "Put the canary that the rollout file names to the test",
    async () => (await import("./start.js")).startCommand,
  ),
  verb(
    "status",
    "Show where the rollout stands; the exit code says it too",
    async () => (await import("./status.js")).statusCommand,
  ),
  verb(
    "watch",
    "Show the status as it changes, until interrupted",
    async () => (await import("./watch.js")).watchCommand,
  ),
  verb(
    "pause",
    "Stay at the stage in force; a breach still rolls back",
    async () => (await import("./pause.js")).pauseCommand,
  ),
  verb(
    "resume",
    "Go on after a pause, or after a hold that waits for somebody to look",
    async () => (await import("./resume.js")).resumeCommand,
  ),
  verb(
    "approve",
    "Let the stage in force be left for the next, once its evidence has passed",
    async () => (await import("./approve.js")).approveCommand,
  ),
  verb(
    "promote",
    "Go to the next stage at once, or to the end, whatever the evidence says",
    async () => (await import("./promote.js")).promoteCommand,
  ),
  verb(
    "rollback",
    "Give every session back to stable at once; also takes a promotion back",
    async () => (await import("./rollback.js")).rollbackCommand,
  ),
  verb(
    "contain",
    "Have both releases judge every call of every session, and serve the stricter answer",
    async () => (await import("./contain.js")).containCommand,
  ),
  verb(
    "kill",
    "Throw the kill switch: stable serves every session, or every call is denied",
    async () => (await import("./kill.js")).killCommand,
  ),
  verb(
    "retry",
    "Begin again after a rollback, a containment or a kill, with the rollout file as it is now; lifts the kill",
    async () => (await import("./retry.js")).retryCommand,
  ),
  verb(
    "history",
    "List every revision that is kept, newest first: when, what, who, why; or find out whether one was changed",
    async () => (await import("./history.js")).historyCommand,
  ),
  verb(
    "explain",
    "Say why the verdict is what it is, and where the releases disagree",
    async () => (await import("./explain.js")).explainCommand,
  ),
  verb(
    "diffs",
    "Show where the releases disagree, ranked by evidence; label it, and replay single calls",
    async () => (await import("./diffs.js")).diffsCommand,
  ),
  verb(
    "verify",
    "Make a recorded verdict again from its inputs, offline, and compare every number to the bit",
    async () => (await import("./verify.js")).verifyCommand,
  ),
  verb(
    "controller",
    "Lead the rollout by the evidence that processes publish, until interrupted",
    async () => (await import("./controller.js")).controllerCommand,
  ),
  verb(
    "notify",
    "Say whom the controller tells; with --test, tell each of them that this is a test",
    async () => (await import("./notify.js")).notifyCommand,
  ),
  verb(
    "serve",
    "Serve the dashboard, and the store over HTTP: state to read, evidence to publish; until interrupted",
    async () => (await import("./serve.js")).serveCommand,
  ),
  verb(
    "sign",
    "Sign the state as it is, whoever wrote it: when keys are new, or were changed",
    async () => (await import("./sign.js")).signCommand,
  ),
  verb("keygen", "Make a key pair to sign state with", async () => (await import("./keygen.js")).keygenCommand),
  verb(
    "release pack",
    "Pack a release directory into one file, the same bytes every time",
    async () => (await import("./release-pack.js")).releasePackCommand,
  ),
  verb(
    "release sign",
    "Sign a release, packed or a directory, beside the signatures that it has",
    async () => (await import("./release-sign.js")).releaseSignCommand,
  ),
  verb(
    "release verify",
    "Check a release, packed or a directory, as the application does before it loads it",
    async () => (await import("./release-verify.js")).releaseVerifyCommand,
  ),
  verb(
    "release inspect",
    "Show what is in a release, packed or a directory: files, digests, where it comes from",
    async () => (await import("./release-inspect.js")).releaseInspectCommand,
  ),
  verb(
    "release diff",
    "Say in words what changed from one release to another, packed or directories",
    async () => (await import("./release-diff.js")).releaseDiffCommand,
  ),
  verb(
    "release keygen",
    "Make a key pair to sign releases with",
    async () => (await import("./release-keygen.js")).releaseKeygenCommand,
  ),
  verb("schema", "Write the JSON Schema of what commands write with `--json`: of all of them, or of one", async () =>
    (await import("./schema.js")).schemaCommand(loadCommands),
  ),
  verb("completion", "Write what has your shell complete commands, flags and their values", async () =>
    (await import("./completion.js")).completionCommand(loadCommands),
  ),
]

/** Load all of them: for what tells of each. */
export const loadCommands = (): Promise<readonly Command[]> => Promise.all(VERBS.map(({ load }) => load()))
