import { execFileSync } from "node:child_process"
import { chromium, type Browser } from "playwright-core"

const NAMES = ["chromium", "chromium-browser", "google-chrome"]

/** Path of a browser on PATH; null: there is none. With SERIN_REQUIRE_SERVERS=1 that is a failure. */
export function chromiumPath(): string | null {
  for (const name of NAMES) {
    try {
      return execFileSync("sh", ["-c", `command -v ${name}`], { encoding: "utf8" }).trim()
    } catch {
      // The next name.
    }
  }
  if (process.env["SERIN_REQUIRE_SERVERS"] === "1") throw new Error("chromium is not on PATH")
  return null
}

/** Start a browser without a window. It asks nobody but whom it is sent to. */
export function startChromium(executablePath: string): Promise<Browser> {
  // Without a sandbox: in a container there is no user that may make one.
  const args = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
  return chromium.launch({ executablePath, args })
}
