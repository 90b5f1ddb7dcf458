import type { ParsedNode } from "yaml"
import type { Problem } from "../errors.js"
import { openDocument } from "./document.js"
import { clip, suggest } from "./problems.js"
import type { SourceDocument } from "./document.js"
import { readDigests, readProvenance, readRequirement } from "./manifest-origin.js"
import type { Provenance } from "./manifest-origin.js"
import { readModule, readMonitorPart, readScannerParts } from "./manifest-parts.js"
import type { ModulePart, MonitorPart, ReadPath, ScannerPart } from "./manifest-parts.js"
import type { SourceFile } from "./ports.js"
import { isPlainPath, MANIFEST, SIGNATURES } from "./tree.js"
import { VERSION, VERSION_FIX } from "../model/names.js"

/** What a release's `release.yaml` says. */
export interface Manifest {
  readonly version: string
  /** Name of the policy's engine; null: the policy is code. */
  readonly engine: string | null
  /** Files for the engine, in its order: plain relative paths, with `/`. */
  readonly policyFiles: readonly string[]
  /** The policy as code; null: an engine has it. */
  readonly policyModule: ModulePart | null
  readonly scanners: readonly ScannerPart[]
  /** Null: the release has none. */
  readonly monitor: MonitorPart | null
  /** Name of what the host gives for it; null: the release has none. */
  readonly sdk: string | null
  /** Files that are code: what runs with all the rights of the process. */
  readonly code: readonly string[]
  /** Null: the release has none. */
  readonly config: { readonly file: string; readonly schema: string } | null
  /** All files but the manifest. */
  readonly files: readonly string[]
  /** What each of them must be, by path; null where the manifest does not say. */
  readonly digests: ReadonlyMap<string, string> | null
  readonly provenance: Provenance | null
}

const MANIFEST_KEYS = [
  "version",
  "serin",
  "policy",
  "scanners",
  "monitor",
  "sdk",
  "config",
  "digests",
  "provenance",
] as const
const DEFAULT_FILES = ["rules.yaml"]
const MAX_FILES = 100
const RESERVED: readonly string[] = [MANIFEST, SIGNATURES]

/** Read a manifest; null when what is wrong with it, which is pushed on `problems`, leaves nothing to load. */
export function readManifest(
  file: SourceFile,
  options: {
    /** Names of engines that may be named; null: any. */
    readonly engines: readonly string[] | null
    readonly version?: string | undefined
  },
  problems: Problem[],
): Manifest | null {
  const document = openDocument(file, problems)
  const fields = document.root === null ? null : document.fields(document.root, "the manifest", MANIFEST_KEYS)
  if (fields === null) return null
  readRequirement(document, fields.get("serin"))
  const version = document.need(fields, "version", "the manifest", 'write `version: "1.0.0"`')
  const policyNode = document.need(fields, "policy", "the manifest", "write `policy: { engine: rules }`")
  const pathOf = (node: ParsedNode, what: string): string | null => readPath(document, node, what)
  const policy = policyNode && readPolicy(document, policyNode, options.engines, pathOf)
  const config = readConfigPaths(document, fields.get("config"))
  const scanners = readScannerParts(document, fields.get("scanners"), pathOf)
  const monitor = readMonitorPart(document, fields.get("monitor"), pathOf)
  const sdkNode = fields.get("sdk")
  const sdk = sdkNode === undefined ? undefined : document.text(sdkNode, "`sdk`")
  const parts = [...(scanners ?? []), ...(monitor ? [monitor] : [])]
  const code = [...(policy?.policyModule ? [policy.policyModule] : []), ...parts].flatMap((part) => {
    return "module" in part ? part.module : []
  })
  const data = parts.flatMap((part) =>
    "patterns" in part ? part.patterns : "thresholds" in part ? part.thresholds : [],
  )
  const files = policy && config && [...new Set([...policy.policyFiles, ...data, ...code, ...config])]
  const text = version && readVersion(document, version, options.version)
  const digests = files && readDigests(document, fields.get("digests"), files)
  const provenance = readProvenance(document, fields.get("provenance"))
  if (text === null || policy === null || config === null || files === null) return null
  if (scanners === null || monitor === null || sdk === null) return null
  const [configFile, schema] = config
  return {
    version: text,
    ...policy,
    scanners,
    monitor: monitor ?? null,
    sdk: sdk ?? null,
    code,
    config: configFile === undefined || schema === undefined ? null : { file: configFile, schema },
    files,
    digests,
    provenance,
  }
}

type PolicyPart = Pick<Manifest, "engine" | "policyFiles" | "policyModule">

function readPolicy(
  document: SourceDocument,
  node: ParsedNode,
  known: readonly string[] | null,
  pathOf: ReadPath,
): PolicyPart | null {
  const policy = document.fields(node, "`policy`", ["engine", "files", "module", "export"])
  if (policy === null) return null
  if (policy.get("engine") === undefined && policy.get("module") !== undefined) {
    const extra = policy.get("files")
    if (extra !== undefined) document.refuse(extra, "`policy` has a `module` and `files`", "keep one")
    const policyModule = readModule(document, policy, "`policy`", "policy", pathOf)
    return policyModule && { engine: null, policyFiles: [], policyModule }
  }
  for (const key of ["module", "export"] as const) {
    const extra = policy.get(key)
    if (extra !== undefined) document.refuse(extra, `\`policy\` has an \`engine\` and \`${key}\``, "keep one")
  }
  const engineNode = document.need(policy, "engine", "`policy`", suggest("", known ?? ["rules"]))
  const engine = engineNode && document.text(engineNode, "`engine`")
  const isKnown = engine !== null && (known === null || known.includes(engine))
  if (engineNode !== null && engine !== null && known !== null && !isKnown) {
    document.refuse(engineNode, `\`engine\` is the unknown \`${clip(engine)}\``, suggest(engine, known))
  }
  const filesNode = policy.get("files")
  const policyFiles = filesNode === undefined ? DEFAULT_FILES : readPaths(document, filesNode, "`files`")
  return policyFiles === null || !isKnown ? null : { engine, policyFiles, policyModule: null }
}

/** Read where config and schema are; empty: the release has none. */
function readConfigPaths(document: SourceDocument, node: ParsedNode | undefined): readonly string[] | null {
  if (node === undefined) return []
  const fields = document.fields(node, "`config`", ["file", "schema"])
  if (fields === null) return null
  const file = document.need(fields, "file", "`config`", "write `file: config.yaml`")
  const schema = document.need(fields, "schema", "`config`", "write `schema: config.schema.json`, a JSON Schema of it")
  const paths = [file && readPath(document, file, "`file`"), schema && readPath(document, schema, "`schema`")]
  return paths.every((path) => path !== null) ? paths : null
}

function readPath(document: SourceDocument, node: ParsedNode, what: string): string | null {
  return document.text(node, what) === null ? null : (readPaths(document, node, what)?.[0] ?? null)
}

function readVersion(document: SourceDocument, node: ParsedNode, wanted: string | undefined): string | null {
  const version = document.text(node, "`version`")
  if (version === null) return null
  if (!VERSION.test(version)) {
    document.refuse(node, `\`version\` is ${JSON.stringify(clip(version))}, which is no version`, VERSION_FIX)
  } else if (wanted !== undefined && version !== wanted) {
    // Attack: an old release copied into the directory of a new one, to be served under its name.
    const fix = "a release lies in the directory of its own version"
    document.refuse(node, `\`version\` is ${version}, but ${wanted} was asked for`, fix)
  }
  return version
}

function readPaths(document: SourceDocument, node: ParsedNode, what: string): readonly string[] | null {
  const paths = document.texts(node, what)
  if (paths === null) return null
  if (paths.length > MAX_FILES) document.refuse(node, `${what} lists more than ${MAX_FILES}`, "join some")
  if (new Set(paths).size < paths.length) document.refuse(node, `${what} lists a file twice`, "list it once")
  for (const path of paths.filter((one) => RESERVED.includes(one))) {
    document.refuse(node, `${what} lists ${path}, which is read as what it is`, "list the other files")
  }
  const bad = paths.filter((path) => !isPlainPath(path))
  for (const path of bad) {
    const message = `${what}: ${JSON.stringify(clip(path))} is no plain path inside the release`
    document.refuse(node, message, "write it relative to the manifest, with /, without . and ..")
  }
  return paths.length > MAX_FILES || bad.length > 0 ? null : paths
}
