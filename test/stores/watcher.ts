/** A process of its own that watches and does nothing else: it must end by itself. */
import { fileStore } from "../../src/stores/file.js"

const [dir = "", key = ""] = process.argv.slice(2)
fileStore({ dir }).watch(key, () => {}, { signal: new AbortController().signal })
process.stdout.write("watching\n")
