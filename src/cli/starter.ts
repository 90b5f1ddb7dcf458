/** Rules of a release that differ in nothing but the limit of refunds. */
const rules = (comment: string, limit: number): string => `# ${comment}
rules:
  - id: read-anything
    action: ["get_*", "list_*", "search_*"]
    effect: allow
  - id: close-account
    action: close_account
    effect: escalate
    reason: Closing an account needs a person
  - id: large-refund
    action: issue_refund
    when: input.amount > ${limit}
    effect: deny
    reason: Refunds are given up to ${limit}
  - id: refund
    action: issue_refund
    effect: allow
`

/** The files that `init` writes, by path. They are a working rollout: `serin validate` passes them as they are. */
export const STARTER_FILES: Readonly<Record<string, string>> = {
  "rollout.yaml": `# What is rolled out, and what it must keep to. \`serin validate\` checks this file and says what it will do.
rollout: refund-agent
stable: 1.4.0 # serves today: releases/1.4.0
canary:
  release: 1.5.0 # is put to the test: releases/1.5.0
  intent: tighten # it is meant to deny more, and must not allow more
  traffic_percentage: 5 # first share of new sessions; 25, 50 and 100 % follow
  shadow: { period: "2h" } # first, both judge and 1.4.0 alone serves: what these limits take at 10 sessions a minute, says \`serin plan\`
  observation_period: "4h" # shortest time in each stage after it
  acceptance_criteria: # what is not named here is not judged
    newly_denied_rate_max: 0.02 # calls that 1.4.0 allows and 1.5.0 denies: at most 2 in 100
    newly_allowed_rate_max: 0 # calls that 1.4.0 stops and 1.5.0 allows: not one
    deny_rate_delta_max: 0.03 # served sessions too: who is denied may ask again
    escalate_rate_delta_max: 0.01
    error_rate_delta_max: 0.01 # at most 1 percentage point more errors
    latency_p99_delta_max: "50ms"
  on_failure: "rollback" # or hold, or contain
  # Everything below has a default; these are the defaults.
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
  "releases/1.4.0/rules.yaml": rules(
    "The first rule whose action and condition match decides. A call that no rule matches is denied.",
    1000,
  ),
  "releases/1.5.0/release.yaml": `version: "1.5.0"
policy:
  engine: rules
  files: [rules.yaml]
`,
  "releases/1.5.0/rules.yaml": rules("As 1.4.0, but refunds are denied above 500 instead of 1000.", 500),
}
