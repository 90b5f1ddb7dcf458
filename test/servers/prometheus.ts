import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { startServer, type TestServer } from "./server.js"

/** Start a Prometheus that scrapes processes on loopback, five times a second. */
export function startPrometheus(targets: readonly number[], ruleFiles: readonly string[] = []): Promise<TestServer> {
  return startServer({
    program: "prometheus",
    args(dir, [port]) {
      mkdirSync(dir, { recursive: true })
      const config = join(dir, "prometheus.yml")
      writeFileSync(
        config,
        JSON.stringify({
          global: { scrape_interval: "200ms", scrape_timeout: "200ms", evaluation_interval: "500ms" },
          rule_files: ruleFiles,
          scrape_configs: [
            { job_name: "agents", static_configs: [{ targets: targets.map((target) => `127.0.0.1:${target}`) }] },
          ],
        }),
      )
      return [
        `--config.file=${config}`,
        `--storage.tsdb.path=${join(dir, "tsdb")}`,
        `--web.listen-address=127.0.0.1:${port}`,
        "--log.level=warn",
      ]
    },
    isReady: async (port) => (await fetch(`http://127.0.0.1:${port}/-/ready`)).ok,
  })
}
