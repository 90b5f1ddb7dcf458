/** Changes that no input can show, or none that matters, and why. They are tried all the same, and count only where they survive. */
export interface Equivalent {
  readonly file: string
  /** The line as it stands, without indentation. */
  readonly source: string
  /** What the mutants make of a part of it. */
  readonly to: readonly string[]
  readonly why: string
}

const TIE = "two results of logarithms that are the same double"
const RIGHT_ANYWAY =
  "how far a search starts from its end, or how near it stops, moves the result by less than its tolerance"

const FOUND_ANYWAY = "where a search begins and how far it goes at once: it finds the same, sooner or later"

export const EQUIVALENT: readonly Equivalent[] = [
  { file: "histogram.ts", source: "const STRIDE = 8", to: ["9", "7"], why: FOUND_ANYWAY },
  {
    file: "histogram.ts",
    source: "if (to < reached) addRows(sums, data, rowOf(to), rowOf(reached), 1)",
    to: ["to <= reached"],
    why: "no rows are neither added nor taken away",
  },
  { file: "histogram.ts", source: "if (first === past) return", to: ["false"], why: "no rows have no sum" },
  {
    file: "histogram.ts",
    source: "while (end - BLOCK >= from && isEmptyBlock(data, end - BLOCK)) end -= BLOCK",
    to: ["end - BLOCK > from", "end - BLOCK < from", "end + BLOCK", "false"],
    why: FOUND_ANYWAY,
  },
  {
    file: "histogram.ts",
    source: "const end = histograms.reduce((most, histogram) => Math.max(most, histogram.end), 0)",
    to: ["Math.min(…)", "1", "-1"],
    why: FOUND_ANYWAY,
  },
  {
    file: "histogram.ts",
    source: "let bin = histograms.reduce((most, histogram) => Math.max(most, histogram.reached()), 0)",
    to: ["Math.min(…)", "1"],
    why: FOUND_ANYWAY,
  },
  {
    file: "histogram.ts",
    source: "while (bin < end && upTo(bin) < target) bin += STRIDE",
    to: [
      "bin <= end",
      "bin >= end",
      "upTo(bin) <= target",
      "upTo(bin) >= target",
      "false",
      "bin < end || upTo(bin) < target",
    ],
    why: FOUND_ANYWAY,
  },
  {
    file: "special.ts",
    source: "const MILLS_DEPTH = 64",
    to: ["65"],
    why: "the fraction has converged",
  },
  {
    file: "special.ts",
    source: "const STIRLING = [1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360] as const",
    to: ["1189", "1187", "692", "690", "360361", "360359"],
    why: "less than half a unit in the last place of ln Γ(10)",
  },
  {
    file: "special.ts",
    source: "for (; y < 10; y++) shift *= y",
    to: ["11", "9", "y <= 10"],
    why: "the series is as good a step to either side",
  },
  {
    file: "special.ts",
    source: "for (let k = 3; Math.abs(term) > 1e-17; k += 2) {",
    to: ["1.01e-17", "9.900000000000001e-18", "Math.abs(term) >= 1e-17"],
    why: "less than half a unit in the last place of the sum",
  },
  {
    file: "mixture.ts",
    source: "const hazard = Math.exp(-(z * z) / 2 - LN_SQRT_2PI - logNormCdf(z))",
    to: ["z / z", "3", "-(z * z) / 2 + LN_SQRT_2PI"],
    why: "a slope: where it leads to stays, how fast does not",
  },
  {
    file: "bernoulli.ts",
    source: "if (logCapital(middle) < target) below = middle",
    to: ["logCapital(middle) <= target"],
    why: TIE,
  },
  {
    file: "wager.ts",
    source: "export const NO_WAGER: Wager = { plus: 0, minus: 0, trials: 0, deff: 1 }",
    to: ["2"],
    why: "no trials are none, whatever they are divided by",
  },
  { file: "wager.ts", source: "let above = 1", to: ["2"], why: RIGHT_ANYWAY },
  {
    file: "wager.ts",
    source: "for (let i = 0; i < 30; i++) {",
    to: ["1", "-1", "31", "29", "i <= 30"],
    why: RIGHT_ANYWAY,
  },
  {
    file: "wager.ts",
    source: "if (logEOf(all, { max: middle, least, bets }) >= target) below = middle",
    to: ["logEOf(all, { max: middle, least, bets }) > target"],
    why: TIE,
  },
  {
    file: "rates.ts",
    source: "if (own >= prior) return own",
    to: ["own > prior"],
    why: "a mean of two that are the same is either",
  },
  {
    file: "rates.ts",
    source: "for (let k = 0; k < trials.length; k++) if (trials[k]! > 0) used++",
    to: ["-1", "k <= trials.length"],
    why: "what is not there is not above 0",
  },
  {
    file: "criteria.ts",
    source: "served: { arms: 0.8, pairs: 0, trip: 0.2 },",
    to: ["-1"],
    why: "only weights above 0 are used",
  },
  {
    file: "quantiles.ts",
    source: "0,",
    to: ["1", "-1"],
    why: "of a limit that takes stable's rate out of [0, 1] the larger variance is stable's own, as it is of 0",
  },
  {
    file: "judge.ts",
    source: "const breached = logEFamily >= -Math.log(falseAlarmRate)",
    to: ["logEFamily > -Math.log(falseAlarmRate)"],
    why: TIE,
  },
  {
    file: "judge.ts",
    source: "return verdictOn(w, w === cause || w.logE >= -Math.log(alpha), alpha)",
    to: ["w.logE > -Math.log(alpha)"],
    why: TIE,
  },
  {
    file: "criterion.ts",
    source: "const passed = primary.enough && within !== null && within >= -Math.log(ALPHA_PASS)",
    to: ["within > -Math.log(ALPHA_PASS)"],
    why: TIE,
  },
  {
    file: "reading.ts",
    source: "events: sum((p) => p.events ?? 0),",
    to: ["1", "-1", "p.events"],
    why: "only budgets read events, and have them",
  },
  {
    file: "srm.ts",
    source: "const flagged = logBF >= LOG_THRESHOLD",
    to: ["logBF > LOG_THRESHOLD"],
    why: TIE,
  },
  {
    file: "srm.ts",
    source: 'const short = observed.canary < expected.canary ? "canary" : "stable"',
    to: ["observed.canary <= expected.canary"],
    why: "where strata cancel exactly neither arm is short, and either may be named",
  },
  {
    file: "replay.ts",
    source:
      "const again = lookAgain({ ...rest, at, tripBefore: before ?? undefined, evidence: expandEvidence(evidence) })",
    to: ["before"],
    why: "null is no trip either",
  },
  {
    file: "replay.ts",
    source: "for (let i = 0; i < length; i++) compare(recorded[i], replayed[i], `${where}[${i}]`, found)",
    to: ["-1", "i <= length"],
    why: "what neither list has is the same",
  },
  {
    file: "outlook.ts",
    source: 'if (!(ms <= LONGEST_MS)) return { heading: "at_limit" }',
    to: ["ms < LONGEST_MS"],
    why: TIE,
  },
  {
    file: "outlook.ts",
    source: "const { rho } = gather({ name: criterion, max, mode }, [], () => false)",
    to: ["true"],
    why: "only rho is read",
  },
  {
    file: "outlook.ts",
    source: 'const heading = excess > 0 ? "breach" : "pass"',
    to: ["excess >= 0"],
    why: "without an excess it takes too long either way",
  },
  {
    file: "outlook.ts",
    source:
      "excess > 0 ? informationAt(excess, alphaBreach, rho.worse) : informationAt(-excess, ALPHA_PASS, rho.within)",
    to: ["excess >= 0"],
    why: "without an excess it takes too long either way",
  },
  { file: "outlook.ts", source: "let below = 1e-12", to: ["1.01e-12", "9.9e-13"], why: RIGHT_ANYWAY },
  {
    file: "outlook.ts",
    source: "let above = 1e18",
    to: ["1010000000000000000", "990000000000000000"],
    why: RIGHT_ANYWAY,
  },
  {
    file: "outlook.ts",
    source: "while (above > below * 1.001) {",
    to: ["1.01101", "above >= below * 1.001"],
    why: RIGHT_ANYWAY,
  },
  {
    file: "outlook.ts",
    source: "if (bound(middle, alpha, rho) / middle > width) below = middle",
    to: ["bound(middle, alpha, rho) / middle >= width"],
    why: TIE,
  },
  {
    file: "outlook.ts",
    source: "let [below, above] = [1, 1e6]",
    to: ["2", "0", "1000001", "999999"],
    why: RIGHT_ANYWAY,
  },
  {
    file: "outlook.ts",
    source: "const middle = Math.floor((below + above) / 2)",
    to: ["Math.ceil(…)"],
    why: "either half of what lies between two whole numbers",
  },
  {
    file: "outlook.ts",
    source: "if (bernoulliUpper(0, middle, ALPHA_PASS) > ZERO_RESOLUTION) below = middle",
    to: ["bernoulliUpper(0, middle, ALPHA_PASS) >= ZERO_RESOLUTION"],
    why: TIE,
  },
  { file: "passage.ts", source: "const STEP = 1e-3", to: ["0.00101", "0.00099"], why: RIGHT_ANYWAY },
  { file: "passage.ts", source: "const TOLERANCE = 1e-3", to: ["0.00101", "0.00099"], why: RIGHT_ANYWAY },
  {
    file: "passage.ts",
    source: "if (!(question.excess > 0)) return Infinity",
    to: ["question.excess >= 0"],
    why: "a division by 0 says the same",
  },
  {
    file: "passage.ts",
    source: "let below = 0.1 / question.excess ** 2",
    to: ["0.101", "0.099", "1", "question.excess * 2", "0.1 * question.excess ** 2"],
    why: RIGHT_ANYWAY,
  },
  {
    file: "passage.ts",
    source: "let above = 1e5 / question.excess ** 2",
    to: ["100001", "99999", "3"],
    why: RIGHT_ANYWAY,
  },
  {
    file: "passage.ts",
    source: "while (above > below * (1 + TOLERANCE)) {",
    to: ["above >= below * (1 + TOLERANCE)"],
    why: RIGHT_ANYWAY,
  },
  {
    file: "passage.ts",
    source: "if (decidedBy(middle, question) < quantile) below = middle",
    to: ["decidedBy(middle, question) <= quantile"],
    why: TIE,
  },
  {
    file: "plan.ts",
    source: "const awaits = spec.stages.slice(0, index + 1).some((stage) => stage.weightBp > 0)",
    to: ["1"],
    why: "at one basis point a criterion is told of, and waited for without it",
  },
  {
    file: "plan.ts",
    source: "return left > 0 ? Math.ceil(Math.max(left / need.perSession, need.least)) : 0",
    to: ["1", "-1", "left >= 0"],
    why: "information is in thousands; what is 0 of it has been asked for no stage",
  },
  {
    file: "plan.ts",
    source: "const missing = Math.max(0, minSessions - (isServed ? served : 0))",
    to: ["-1"],
    why: "less than none is no longer a wait than none",
  },
  {
    file: "plan.ts",
    source: '["min_sessions", missing === 0 ? 0 : (missing * FULL_BP) / countedBp],',
    to: ["-1", "false"],
    why: "neither less than none nor NaN is a longer wait than the period",
  },
  {
    file: "power.ts",
    source: "const { rho } = gather(criterion, [], () => false)",
    to: ["true"],
    why: "only rho is read",
  },
  {
    file: "power.ts",
    source: "Math.log(1 - quantile) / Math.log(1 - Math.min(truth.excess, 1 - 1e-12)) / calls",
    to: ["1.01e-12", "9.9e-13"],
    why: "next to certain either way",
  },
  {
    file: "power.ts",
    source: "(game, i) => pooledLogE([wagerOf(rates[i]!, calls, effective, off)], game) >= -Math.log(ALPHA_PASS),",
    to: ["pooledLogE([wagerOf(rates[i]!, calls, effective, off)], game) > -Math.log(ALPHA_PASS)"],
    why: TIE,
  },
  {
    file: "power.ts",
    source: "(game, i) => wagerLogE([...earlier, wagerOf(rates[i]!, sessions, per, off)], game) >= target,",
    to: ["wagerLogE([...earlier, wagerOf(rates[i]!, sessions, per, off)], game) > target"],
    why: TIE,
  },
  {
    file: "power.ts",
    source: "if (above > 1e9) return Infinity",
    to: ["1000000001", "999999999", "above >= 1e9"],
    why: RIGHT_ANYWAY,
  },
  { file: "power.ts", source: "let below = Math.floor(above / 2)", to: ["3", "Math.ceil(…)"], why: RIGHT_ANYWAY },
  {
    file: "power.ts",
    source: "const middle = Math.floor((below + above) / 2)",
    to: ["Math.ceil(…)"],
    why: "either half of what lies between two whole numbers",
  },
  {
    file: "power.ts",
    source: "return n * mean - z * Math.sqrt(n * bad * (1 - bad)) * (win - loss) >= target",
    to: ["n * mean - z * Math.sqrt(n * bad * (1 - bad)) * (win - loss) > target"],
    why: TIE,
  },
  {
    file: "power.ts",
    source: "if (ceiling === null) return false",
    to: ["false"],
    why: "a division by null is NaN, and not enough",
  },
  { file: "power.ts", source: "const much = 1000", to: ["1001", "999"], why: "so much that the rest is nothing" },
  {
    file: "power.ts",
    source: "const logEs = Array.from({ length: before.arms + 1 }, (_, i) => (i === before.arms ? much : 0))",
    to: ["-1"],
    why: "next to so much it is nothing",
  },
  {
    file: "expected.ts",
    source: 'const limit = kind === "latency" ? 0 : max',
    to: ["false", "1", "-1"],
    why: "of a limit that takes stable's rate out of [0, 1] the larger variance is stable's own, as it is of 0",
  },
  {
    file: "expected.ts",
    source: "const canary = Math.min(1, base + (effect ?? 0))",
    to: ["effect"],
    why: "null adds nothing",
  },
  {
    file: "expected.ts",
    source: "const canary = Math.min(1, stable + (effect ?? 0))",
    to: ["effect"],
    why: "null adds nothing",
  },
  {
    file: "expected.ts",
    source:
      'const timed = (of: number, inArm: number): number => (kind === "latency" ? of / callsPerSession / inArm : 0)',
    to: ["1", "-1"],
    why: "more sessions than one are asked for in any case",
  },
  {
    file: "workload.ts",
    source: "kish >= callsPerSession * (1 - 1e-9) && kish <= MOST_CALLS,",
    to: ["1.01e-9", "9.9e-10", "kish > callsPerSession * (1 - 1e-9)"],
    why: "some roundings more or less",
  },
  {
    file: "workload.ts",
    source: "deny + escalate + error,",
    to: ["deny - escalate", "deny + escalate - error"],
    why: "the number in an error's text",
  },
  {
    file: "wording.ts",
    source: "return String(Math.abs(value) < 1e-9 ? 0 : Number(value.toPrecision(3)))",
    to: ["Math.abs(value) <= 1e-9"],
    why: "no rate is that of all doubles",
  },
]
