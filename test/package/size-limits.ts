/**
 * Most bytes that each entry may have, minified and compressed (esbuild, gzip -9): what importing it loads of this package, without the
 * packages that it depends on and without what it loads later, by `import()`.
 *
 * An entry that grows beyond its limit is either mended, or its limit raised here, where a reviewer sees it.
 */
export const SIZE_LIMITS: Readonly<Record<string, number>> = {
  serin: 46_700,
  "serin/rollout": 17_200,
  "serin/plan": 9_300,
  "serin/calibrate": 51_700,
  "serin/replay": 21_200,
  "serin/testing": 42_000,
  "serin/decision-log": 5_600,
  "serin/adapters/ai": 4_300,
  "serin/adapters/mcp": 3_900,
  "serin/adapters/langchain": 1_500,
  "serin/adapters/openai-agents": 1_000,
  "serin/isolate": 1_900,
  "serin/serve": 11_000,
  "serin/dashboard": 35_900,
  "serin/stores/http": 8_400,
  "serin/stores/signed": 6_500,
  "serin/sources/prometheus": 8_400,
  "serin/metric-producer": 1_100,
  "serin/stores/etcd": 7_900,
  "serin/stores/redis": 8_000,
  "serin/engines/rules": 7_600,
  "serin/engines/authensor": 8_200,
  "serin/engines/opa": 7_300,
  "serin/engines/cedar": 7_200,
  "serin/adapters/claude-agent-sdk": 4_800,
  "serin/adapters/openfeature": 7_700,
}

/** The same for `import { createGuard } from "serin"`, tree-shaken: what decides a call. */
export const CORE_LIMIT = 30 * 1024
