/** The files that `init` writes, by path. They are a working rollout: `serin validate` passes them as they are. */
export const STARTER_FILES: Readonly<Record<string, string>> = {
  "rollout.yaml": `# What is rolled out, and what it must keep to. \`serin validate\` checks this file and says what it will do.
rollout: refund-agent
stable: 1.4.0 # serves today: releases/1.4.0
canary:
  release: 1.5.0 # is put to the test: releases/1.5.0
  traffic_percentage: 5 # first share of new sessions; 25, 50 and 100 % follow
  observation_period: "4h" # shortest time in each stage
  acceptance_criteria: # the canary against stable, judged all the time
    error_rate_delta_max: 0.01 # at most 1 percentage point more errors
    latency_p99_delta_max: "50ms"
    deny_rate_delta_max: 0.02
    # newly_allowed_rate_max: 0.001 # calls that stable stops and the canary lets pass
    # newly_denied_rate_max: 0.01
  on_failure: "rollback" # or hold
  # Everything below has a default; these are the defaults.
  # shadow: { period: "10m", sample: 100 } # first, both judge and nobody is served by the canary
  # min_sessions: 50
  # false_alarm_rate: 0.05 # chance that a good canary is stopped, over the whole rollout
  # on_inconclusive: hold # or extend, rollback
  # on_no_data: hold # or rollback
  # activation_delay: "10s" # before a larger share counts, so that every process knows it in time
`,
  "releases/1.4.0/release.yaml": `version: "1.4.0"
policy:
  engine: rules
  files: [rules.yaml]
`,
  "releases/1.4.0/rules.yaml": `# The first rule whose action and condition match decides. A call that no rule matches is denied.
rules:
  - id: read-anything
    action: ["get_*", "list_*", "search_*"]
    effect: allow
  - id: large-refund
    action: issue_refund
    when: input.amount > 1000
    effect: escalate
    reason: A refund over 1000 needs a person
  - id: refund
    action: issue_refund
    effect: allow
`,
  "releases/1.5.0/release.yaml": `version: "1.5.0"
policy:
  engine: rules
  files: [rules.yaml]
`,
  "releases/1.5.0/rules.yaml": `# As 1.4.0, but a person is asked from 500 on instead of 1000.
rules:
  - id: read-anything
    action: ["get_*", "list_*", "search_*"]
    effect: allow
  - id: large-refund
    action: issue_refund
    when: input.amount > 500
    effect: escalate
    reason: A refund over 500 needs a person
  - id: refund
    action: issue_refund
    effect: allow
`,
}
