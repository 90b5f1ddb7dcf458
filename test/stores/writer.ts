/** A process of its own: `writer.ts <dir> <key> <updates>` adds 1 to a document that many times, and says each revision it won. */
import { fileStore } from "../../src/stores/file.js"

const [dir = "", key = "", updates = ""] = process.argv.slice(2)
const store = fileStore({ dir })

for (let done = 0; done < Number(updates);) {
  const current = await store.get(key)
  const revision = current?.revision ?? 0
  const written = await store.compareAndSet(key, revision, String(Number(current?.envelope ?? 0) + 1))
  if (!written.ok) continue
  done++
  process.stdout.write(`${revision + 1}\n`)
}
