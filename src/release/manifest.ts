import type { ParsedNode } from "yaml"
import type { Problem } from "../errors.js"
import { clip, openDocument, suggest } from "./document.js"
import type { SourceDocument } from "./document.js"
import type { Engine, SourceFile } from "./ports.js"

/** What a release's `release.yaml` says. */
export interface Manifest<C> {
  readonly version: string
  readonly engine: Engine<C>
  /** Plain relative paths, with `/`. */
  readonly files: readonly string[]
}

/** A version names a directory, so it can neither climb nor hide. */
export const VERSION = /^[A-Za-z0-9][A-Za-z0-9._+-]{0,127}$/
export const VERSION_FIX = "use up to 128 letters, digits, and . _ + -, the first a letter or digit"

const DEFAULT_FILES = ["rules.yaml"]
const MAX_FILES = 100

/** Read a manifest; null when what is wrong with it, which is pushed on `problems`, leaves nothing to load. */
export function readManifest<C>(
  file: SourceFile,
  options: { readonly engines: readonly Engine<C>[]; readonly version?: string | undefined },
  problems: Problem[],
): Manifest<C> | null {
  const document = openDocument(file, problems)
  const fields = document.root === null ? null : document.fields(document.root, "the manifest", ["version", "policy"])
  if (fields === null) return null
  const version = document.need(fields, "version", "the manifest", 'write `version: "1.0.0"`')
  const policyNode = document.need(fields, "policy", "the manifest", "write `policy: { engine: rules }`")
  const policy = policyNode && document.fields(policyNode, "`policy`", ["engine", "files"])

  const known = options.engines.map(({ name }) => name)
  const engine = policy && document.need(policy, "engine", "`policy`", suggest("", known))
  const name = engine && document.text(engine, "`engine`")
  const found = options.engines.find((one) => one.name === name)
  if (engine !== null && name !== null && found === undefined) {
    document.refuse(engine, `\`engine\` is the unknown \`${clip(name)}\``, suggest(name, known))
  }

  const filesNode = policy?.get("files")
  const files = filesNode === undefined ? DEFAULT_FILES : readPaths(document, filesNode)
  const text = version && readVersion(document, version, options.version)
  return text === null || found === undefined || files === null ? null : { version: text, engine: found, files }
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

function readPaths(document: SourceDocument, node: ParsedNode): readonly string[] | null {
  const paths = document.texts(node, "`files`")
  if (paths === null) return null
  if (paths.length > MAX_FILES) document.refuse(node, `\`files\` lists more than ${MAX_FILES}`, "join some")
  if (new Set(paths).size < paths.length) document.refuse(node, "`files` lists a file twice", "list it once")
  const bad = paths.filter((path) => !isPlain(path))
  for (const path of bad) {
    const message = `\`files\`: ${JSON.stringify(clip(path))} is no plain path inside the release`
    document.refuse(node, message, "write it relative to the manifest, with /, without . and ..")
  }
  return paths.length > MAX_FILES || bad.length > 0 ? null : paths
}

/** Attack: `../../etc/passwd`, `/etc/passwd`, `C:\\x`, `rules.yaml:stream` or a line break in a manifest. */
function isPlain(path: string): boolean {
  return path.split("/").every((name) => name !== "" && name !== "." && name !== ".." && !UNSAFE.test(name))
}

// oxlint-disable-next-line no-control-regex
const UNSAFE = /[\\:\u0000-\u001f]/
