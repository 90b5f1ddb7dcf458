/**
 * Who may import whom: the table of the design, as data. A unit is a folder of `src/`, or a file beside them
 * (`guard.ts` and `guard/` are one). `unit` grants all of it, `unit/file` that file alone; a unit may always import itself,
 * `model` and `errors`.
 */
export interface UnitRule {
  /** Units and files of `src/` that it may import. `*` is every unit but the published entries. */
  readonly units: readonly string[]
  /** Packages that it may import; `type:` grants the types alone. */
  readonly packages?: readonly string[]
  /** It does input and output: it may import what Node.js provides, or just the modules named. Everything else is pure. */
  readonly node?: true | readonly string[]
}

/** Drivers that need nothing but this package: what the one-line entries may choose by default. */
const DRIVERS = [
  "stores/memory",
  "stores/file",
  "stores/http",
  "sources/local",
  "sources/fleet",
  "sources/store-sink",
  "engines",
]

const PORTS = ["release/ports", "evidence/source", "rollout/store", "rollout/state", "rollout/spec"]

export const IMPORT_TABLE: Readonly<Record<string, UnitRule>> = {
  errors: { units: [] },
  // What a slip of the pen was meant to be is asked wherever names are read.
  model: { units: [], packages: ["fastest-levenshtein"] },
  // Envelopes, keys and whom to trust: of releases and of state alike.
  signing: { units: [], packages: ["zod"], node: ["node:crypto"] },
  session: { units: [], packages: ["murmurhash3js-revisited"] },
  // What a process publishes is read as other documents are: bounded, strict, from a hostile world.
  evidence: { units: ["rollout/json-document"], packages: ["zod"] },
  analysis: { units: [] },
  rollout: { units: [], packages: ["zod", "yaml"] },
  // piscina: where scanners run in workers, and there alone; it is optional.
  release: { units: ["signing"], packages: ["zod", "yaml", "modern-tar", "piscina"], node: true },
  telemetry: { units: ["evidence"], packages: ["@opentelemetry/api", "type:@opentelemetry/sdk-metrics"] },
  guard: {
    // Of the rollout a guard knows what is handed to it, never how it changes.
    units: ["session", "release", "evidence", "telemetry", "rollout/state", "rollout/phase", "rollout/spec"],
    packages: ["type:@opentelemetry/api"],
    node: ["node:async_hooks", "node:util"],
  },
  // What people are told of a rollout, and the port of those who tell them.
  notify: { units: ["rollout", "operate/next-step"], packages: ["zod"], node: ["node:crypto"] },
  channels: { units: ["notify"], node: true },
  controller: {
    units: ["analysis", "rollout", "evidence", "notify"],
    packages: ["zod", "type:@opentelemetry/api"],
    node: true,
  },
  // ioredis: for one driver, and there alone; it is optional.
  stores: { units: ["rollout", "signing", "evidence/sink"], packages: ["ioredis"], node: true },
  "decision-log": { units: [], packages: ["rotating-file-stream"], node: true },
  sources: { units: ["evidence", "analysis", "rollout/store"], node: true },
  // cedar-wasm: for one engine, and there alone; it is optional.
  engines: {
    units: ["release"],
    packages: ["zod", "yaml", "@marcbachmann/cel-js", "type:@cedar-policy/cedar-wasm"],
    node: true,
  },
  // Releases by version, loaded and kept as the state names them: for whoever brings a guard its releases.
  shelf: { units: ["guard/guard-options", "release", "signing/trust", "rollout/state", "rollout/digests", "engines"] },
  embed: {
    units: [
      "guard",
      "controller",
      "notify",
      "shelf",
      "release",
      "signing",
      "rollout",
      "replay",
      "evidence/source",
      ...DRIVERS,
    ],
    packages: ["type:@opentelemetry/api"],
    node: true,
  },
  // A rollout that is played: everything that a real one is judged by, on recorded calls.
  calibrate: {
    units: [
      "guard",
      "analysis",
      "release/ports",
      "release/run",
      "rollout",
      "testing/calls",
      "testing/fake-clock",
      "testing/sfc32",
    ],
  },
  // Both releases on recorded calls, in a guard's way and by the judge's counts.
  replay: {
    units: [
      "guard",
      "analysis",
      "evidence",
      "session/bucket",
      "release/ports",
      "release/check",
      "rollout/spec",
      "rollout/gate",
      "testing/calls",
      "testing/call-stream",
    ],
    node: ["node:path"],
  },
  // Where the releases disagree, by evidence: what the CLI and the dashboard tell and take.
  disagreements: {
    units: ["analysis", "evidence/diffs", "controller", "rollout", "operate/snapshot"],
    packages: ["zod"],
    node: ["node:crypto"],
  },
  connect: {
    units: ["guard", "controller", "shelf", "release", "signing", "rollout", "evidence/sink", ...DRIVERS],
    packages: ["type:@opentelemetry/api"],
    node: true,
  },
  // Beside frameworks, flags: they hold documents and kills as stores do.
  adapters: {
    units: ["guard", "rollout/store", "rollout/state", "rollout/phase", "stores/document"],
    packages: ["@opentelemetry/api", "type:@openfeature/server-sdk", "type:langchain"],
  },
  // A guard: an application's test tries whether its agent has one.
  testing: { units: [...PORTS, "guard", "decision-log/lines", "decision-log/rotated"], node: true },
  // Serves a store to whoever may not have it.
  serve: {
    units: ["rollout", "evidence/publication", "controller/keys", "controller/deadline", "stores/document"],
    node: true,
  },
  // What people ask of a rollout and do to it, whoever shows it.
  operate: {
    units: ["rollout", "controller", "analysis/outlook", "stores/witnessed", "signing/trust"],
    packages: ["zod"],
  },
  dashboard: { units: ["notify", "rollout", "controller", "operate", "serve", "disagreements", "replay"], node: true },
  cli: { units: ["*"], packages: ["zod", "yaml"], node: true },
  index: {
    // What an application runs with. What judges, plans and replays has entries of its own; what a report is made of has names here.
    units: [
      "controller/canary-lease",
      "analysis/compact",
      "analysis/course",
      "analysis/figures",
      "analysis/replay",
      "analysis/trip",
      "embed",
      "connect",
      "notify",
      "channels",
      "shelf",
      "guard",
      "session",
      "release",
      "signing",
      "evidence",
      "rollout",
      ...DRIVERS,
    ],
  },
}

/** What "the core" is: everything but drivers, adapters, dashboard, CLI and the test kit. */
export const CORE_UNITS: ReadonlySet<string> = new Set([
  "index",
  "embed",
  "connect",
  "shelf",
  "guard",
  "errors",
  "model",
  "session",
  "release",
  "signing",
  "evidence",
  "telemetry",
  "analysis",
  "rollout",
  "controller",
])
