import { parseEnvelope } from "../signing/envelope.js"
import { fileDigest } from "../release/tree.js"
import { z } from "zod"
import { answers } from "./answer.js"
import { defineCommand, JSON_FLAG, operandAt } from "./command.js"
import { EXIT } from "./exit-code.js"
import { table, type Line } from "./printer.js"
import { openAt, treeOf } from "./release-read.js"

export const releaseInspectCommand = defineCommand({
  operand: "RELEASE",
  notes: ["Believes nothing: `serin release verify` says who signed it."],
  example: "serin release inspect safety/releases/1.5.0.tgz",
  flags: { ...JSON_FLAG },
  answers: answers(
    "serin/release-inspect/1",
    z.object({
      version: z.string(),
      digest: z.string(),
      packed: z.boolean(),
      engine: z.string().nullable(),
      sdk: z.string().nullable(),
      code: z.array(z.string()),
      provenance: z
        .object({
          source: z.string().optional(),
          commit: z.string().optional(),
          builtAt: z.string().optional(),
          by: z.string().optional(),
        })
        .nullable(),
      files: z.array(z.object({ path: z.string(), bytes: z.int(), digest: z.string() })),
      /** Ids of the keys that signed it; nothing was verified. */
      signatures: z.array(z.string()),
    }),
  ),
  async run({ values, operands, io, out }) {
    const opened = await openAt(operandAt(operands, 0, "release inspect", "RELEASE"), io)
    const { manifest, files, digest } = await treeOf(opened)
    const { version, engine, provenance } = manifest
    const listed = files.map(({ name, bytes }) => ({ path: name, bytes: bytes.length, digest: fileDigest(bytes) }))
    const envelope = opened.signatures === null ? null : parseEnvelope(opened.signatures.text)
    const keyids =
      envelope === null || typeof envelope === "string" ? [] : envelope.signatures.map(({ keyid }) => keyid)
    if (values.json) {
      out.json({
        version,
        digest,
        packed: opened.from.all !== null,
        engine,
        sdk: manifest.sdk,
        code: manifest.code,
        provenance,
        files: listed,
        signatures: keyids,
      })
      return EXIT.ok
    }
    out.line({ text: version, style: "bold" }, `  ${digest}`)
    out.line(engine === null ? "  the policy is a module" : `  engine ${engine}`)
    if (manifest.sdk !== null) out.line(`  sdk ${manifest.sdk}`)
    if (manifest.code.length > 0) out.line(`  code ${manifest.code.join(", ")}`)
    const { source, commit, builtAt, by } = provenance ?? {}
    const origin: [string, string | undefined][] = [["source", source], ["commit", commit], ["built", builtAt], ["by", by]] // prettier-ignore
    for (const [name, text] of origin) if (text !== undefined) out.line(`  ${name} ${text}`)
    out.lines(
      table(listed.map((file): Line => [`  ${file.path}`, `${file.bytes.toLocaleString("en-US")} bytes`, file.digest])),
    )
    if (typeof envelope === "string") out.line(`  release.dsse.json ${envelope}`)
    else if (keyids.length === 0) out.line("  not signed")
    else out.line(`  says it is signed by ${keyids.map((id) => id || "a key without a name").join(", ")}; not checked`)
    return EXIT.ok
  },
})
