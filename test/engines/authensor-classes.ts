/**
 * Small classes with the methods, answers and habits of `@authensor/engine`, `@authensor/aegis` and `@authensor/sentinel`, which are not
 * packages that tests could install: lists of rules that all instances of a module share, texts that are cut without a word.
 */
export interface Envelope {
  readonly id?: string
  readonly timestamp?: string
  readonly context?: object
  readonly action: {
    readonly type: string
    readonly resource?: string
    readonly parameters?: Readonly<Record<string, unknown>>
  }
  readonly principal: { readonly type: string; readonly id: string }
}

export interface PolicyRule {
  readonly id: string
  readonly effect: string
  readonly action?: string
  readonly max?: number
}

export interface RulePolicy {
  readonly id: string
  readonly priority?: number
  readonly rules: readonly PolicyRule[]
}

export class PolicyEngine {
  evaluate(
    envelope: Envelope,
    policies: RulePolicy[],
    sessionContext?: { readonly actions: readonly unknown[] },
  ): object {
    // In place: a list that two engines share would be sorted under the other one.
    policies.sort((a, b) => (b.priority ?? 0) - (a.priority ?? 0))
    if ((sessionContext?.actions.length ?? 0) > 2) return { decision: { outcome: "rate_limited", policyId: "session" } }
    for (const policy of policies) {
      for (const { id, effect, action, max } of policy.rules) {
        if (action !== undefined && action !== envelope.action.type) continue
        if (max !== undefined && Number(envelope.action.parameters?.["amount"]) > max) continue
        return {
          decision: { outcome: effect, policyId: policy.id, reason: `by ${id}`, matchedRules: [{ ruleId: id }] },
        }
      }
    }
    return { decision: { outcome: "deny", reason: "nothing matched" } }
  }
}

export interface DetectorRule {
  readonly id: string
  readonly type: string
  readonly subType: string
  readonly pattern: RegExp
}

const DETECTORS: DetectorRule[] = [{ id: "email", type: "pii", subType: "EMAIL", pattern: /\w+@\w+\.\w+/g }]

export class AegisScanner {
  private readonly rules: DetectorRule[]
  private readonly outputRules: DetectorRule[]

  constructor(rules?: DetectorRule[], outputRules?: DetectorRule[]) {
    this.rules = rules ?? DETECTORS
    this.outputRules = outputRules ?? []
  }

  scan(content: string, options: { readonly maxContentLength?: number; readonly mode?: string } = {}): object {
    return this.look(content, this.rules, options)
  }

  scanOutput(content: string, options: { readonly maxContentLength?: number; readonly mode?: string } = {}): object {
    return this.look(content, [...this.outputRules, ...this.rules], options)
  }

  private look(content: string, rules: DetectorRule[], { maxContentLength = 100_000, mode = "block" }): object {
    const text = content.slice(0, maxContentLength)
    const found = rules.flatMap(({ type, subType, pattern }) =>
      [...text.matchAll(new RegExp(pattern.source, "g"))].map((match) => ({ type, subType, content: match[0] })),
    )
    const threatLevel = found.length === 0 ? "none" : found.some(({ type }) => type === "pii") ? "low" : "critical"
    const redacted =
      mode === "redact" && found.length > 0
        ? rules.reduce((all, { pattern }) => all.replace(pattern, "[x]"), text)
        : undefined
    return { safe: found.length === 0, threatLevel, detections: found, redacted }
  }
}

export interface AlertRule {
  readonly id: string
  threshold: number
}

const ALERT_RULES: AlertRule[] = [{ id: "large", threshold: 100 }]

export class Sentinel {
  private readonly rules: AlertRule[]

  constructor({ alertRules }: { readonly alertRules?: AlertRule[] | undefined } = {}) {
    this.rules = alertRules ?? ALERT_RULES
  }

  processEvent(event: { readonly agentId: string; readonly cost?: number }): object {
    const { cost = 0 } = event
    const alerts = this.rules.filter(({ threshold }) => cost > threshold)
    return {
      alerts: alerts.map(({ id }) => ({ id: "some-uuid", ruleId: id, message: `${id}: ${cost}` })),
      anomalies: cost > 1000 ? [{ isAnomaly: true, metric: "cost_rate" }] : [],
    }
  }

  getAlertRules(): AlertRule[] {
    return [...this.rules]
  }

  addAlertRule(rule: AlertRule): void {
    this.rules.push(rule)
  }
}
