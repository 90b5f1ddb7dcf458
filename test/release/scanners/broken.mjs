/** Does whatever the text says, as a scanner should not. */
export async function scan(text) {
  switch (text) {
    case "exit":
      return process.exit(0)
    case "throw":
      throw new RangeError("thrown")
    case "throw what cannot leave":
      throw Object.assign(new Error("with a function"), { callback: () => {} })
    case "throw later":
      await new Promise((_, reject) => setImmediate(() => reject(new RangeError("thrown later"))))
      return null
    case "uncaught":
      await new Promise(() => {
        setImmediate(() => {
          throw new Error("uncaught")
        })
      })
      return null
    case "nonsense":
      return "fine, I guess"
    case "function":
      return { result: "clean", findings: () => [] }
    case "allocate": {
      const kept = []
      for (;;) kept.push(Array.from({ length: 10_000 }, (_, i) => ({ i })))
    }
    case "wait":
      return new Promise(() => {})
    default:
      return { result: "clean" }
  }
}

export const notAFunction = 1
