import { readFile } from "node:fs/promises"
import { resolve } from "node:path"
import { SerinError } from "../errors.js"
import { packTree } from "../release/pack.js"
import { MANIFEST, MAX_MANIFEST_BYTES, treeDigest } from "../release/tree.js"
import type { TreeFile } from "../release/tree.js"
import { packedFiles } from "../release/unpack.js"
import { z } from "zod"
import { answers } from "./answer.js"
import { defineCommand, JSON_FLAG, operandAt } from "./command.js"
import { EXIT } from "./exit-code.js"
import { compileTree, openAt, treeOf } from "./release-read.js"
import { stampManifest } from "./release-stamp.js"
import { writeOver } from "./write-new.js"

export const releasePackCommand = defineCommand({
  operand: "DIR",
  notes: [
    "Packs release.yaml, the files that it names and the signatures, and nothing else. Replaces no other file.",
    "What says where it comes from, and --digests, are written into the packed release.yaml: sign after that.",
  ],
  example: "serin release pack safety/releases/1.5.0 --commit 0123abc",
  flags: {
    out: { type: "string", value: "FILE", text: "where to (default: DIR.tgz)" },
    source: { type: "string", value: "URL", text: "where its sources are" },
    commit: { type: "string", value: "ID", text: "of which commit it is" },
    "built-at": { type: "string", value: "TIME", text: "when it was packed: 2026-01-31T12:00:00Z" },
    "built-by": { type: "string", value: "NAME", text: "who or what packed it" },
    digests: { type: "boolean", text: "write the sha-256 of each file" },
    ...JSON_FLAG,
  },
  answers: answers(
    "serin/release-pack/1",
    z.object({
      file: z.string(),
      version: z.string(),
      digest: z.string(),
      bytes: z.int(),
      /** False: it was there, the same to the byte. */
      written: z.boolean(),
      signed: z.boolean(),
    }),
  ),
  async run({ values, operands, io, out }) {
    const dir = operandAt(operands, 0, "release pack", "DIR")
    const opened = await openAt(dir, io)
    if (opened.from.all !== null) {
      throw new SerinError("USAGE", `serin release pack: ${dir} is packed already; name a directory`)
    }
    const tree = await treeOf(opened)
    const text = stampManifest(tree, {
      source: values.source,
      commit: values.commit,
      builtAt: values["built-at"],
      by: values["built-by"],
      digests: values.digests,
    })
    const files =
      text === null ? tree.files : tree.files.map((file) => (file.name === MANIFEST ? stamped(file, text) : file))
    // A signature of the directory is not one of a manifest that was written since.
    const signatures = text === null && opened.signatures !== null ? [opened.signatures] : []
    const packed = await packTree([...files, ...signatures])
    const shown = values.out ?? `${dir.replace(/[/\\]+$/, "")}.tgz`

    // What is written is what every reader takes: this one is asked first.
    const from = await packedFiles(packed, shown)
    const checked = await treeOf({ ...opened, shown, from })
    compileTree(checked)

    const path = resolve(io.cwd, shown)
    const before = await readFile(path).catch(() => null)
    const isSame = before?.equals(packed) === true
    if (before !== null && !isSame) {
      const message = `${shown} is there already, with other content`
      const fix = "a release is immutable: give it a new version, or delete the file if nobody has it"
      throw new SerinError("RELEASE_INVALID", message, { problems: [{ where: shown, message: "is another", fix }] })
    }
    if (!isSame) await writeOver(path, packed, `serin release pack: ${shown}`)

    const { version } = checked.manifest
    const digest = treeDigest(checked.files)
    if (values.json) {
      out.json({ file: shown, version, digest, bytes: packed.length, written: !isSame, signed: signatures.length > 0 })
      return EXIT.ok
    }
    out.line(`${isSame ? "unchanged:" : "wrote"} ${shown}  ${packed.length.toLocaleString("en-US")} bytes`)
    out.line(`  ${version}  ${digest}`)
    if (text !== null && opened.signatures !== null)
      out.line("  the directory's signatures are not of this manifest: left out")
    return EXIT.ok
  },
})

function stamped({ name, path }: TreeFile, text: string): TreeFile {
  const bytes = Buffer.from(text)
  if (bytes.length > MAX_MANIFEST_BYTES) throw new SerinError("RELEASE_INVALID", `${path} is too large with it`)
  return { name, path, bytes, text }
}
