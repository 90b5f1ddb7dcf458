import { treeDigest } from "../release/tree.js"
import { resolveTrust } from "../signing/trust.js"
import { verifySignatures } from "../release/verify.js"
import { z } from "zod"
import { answers } from "./answer.js"
import { defineCommand, JSON_FLAG, operandAt } from "./command.js"
import { EXIT } from "./exit-code.js"
import { compileTree, openAt, treeOf } from "./release-read.js"
import { KEYS_FLAGS, readTrustedKeys } from "./trusted-keys.js"

export const releaseVerifyCommand = defineCommand({
  operand: "RELEASE",
  notes: ["Without --keys it is not checked who signed it."],
  example: "serin release verify safety/releases/1.5.0.tgz --keys release-key.pub",
  flags: {
    ...KEYS_FLAGS,
    ...JSON_FLAG,
  },
  answers: answers(
    "serin/release-verify/1",
    z.object({
      ok: z.literal(true),
      version: z.string(),
      digest: z.string(),
      /** Whether keys were named and enough of them signed. */
      trusted: z.boolean(),
      signers: z.array(z.string()),
      /** Whether the policy's files were compiled. */
      compiled: z.boolean(),
    }),
  ),
  async run({ values, operands, io, out }) {
    const shown = operandAt(operands, 0, "release verify", "RELEASE")
    const trust = resolveTrust(await readTrustedKeys("release verify", values, io))
    const opened = await openAt(shown, io)
    // As in the application: where all files are known, they are verified before the first of them is parsed.
    if (trust !== null && opened.from.all !== null) {
      await verifySignatures(opened.from, trust, { version: undefined, digest: treeDigest(opened.from.all) })
    }
    const tree = await treeOf(opened)
    const { version, engine, digests } = tree.manifest
    const signers = trust && (await verifySignatures(opened.from, trust, { version, digest: tree.digest }))
    const compiled = compileTree(tree)
    if (values.json) {
      out.json({ ok: true, version, digest: tree.digest, trusted: signers !== null, signers: signers ?? [], compiled })
      return EXIT.ok
    }
    out.line({ text: version, style: "bold" }, `  ${tree.digest}`)
    out.line(`  ${tree.files.length} files${digests === null ? "" : ", each as `digests` says"}`)
    out.line(
      compiled
        ? "  the policy compiles"
        : engine === null
          ? "  the policy is a module"
          : `  the files of the engine ${engine} were not compiled: it, or its package, is not here`,
    )
    if (tree.manifest.code.length > 0) out.line(`  code, not run here: ${tree.manifest.code.join(", ")}`)
    if (trust === null || signers === null)
      out.line("  who signed it was not checked: name the trusted keys with --keys FILE")
    else
      out.line(
        `  signed by ${signers.length} of ${trust.keys.length} trusted keys, ${trust.threshold} needed: ${signers.join(", ")}`,
      )
    return EXIT.ok
  },
})
