export { connect } from "./connect.js"
export type { Connected, ConnectedStatus, ConnectOptions, PublisherStatus } from "./connect.js"
export type { LeaseStatus } from "./controller/canary-lease.js"
export { embed } from "./embed.js"
export type {
  Embedded,
  EmbedOptions,
  FollowerStatus,
  ReadProblem,
  ReleasesFrom,
  Report,
  Status,
  VerdictRecord,
  WritingFollowerStatus,
} from "./embed.js"
export { createGuard } from "./guard.js"
export type { Answer, Guard, Session } from "./guard.js"
export type { Assignment } from "./guard/assignment.js"
export type { GuardOptions, Mode, ReleaseFor, StateReader } from "./guard/guard-options.js"
export type { DecisionLogOptions } from "./guard/decision-log.js"
export type { GuardEvent, Misuse, OnStableError, ScanSide, Side } from "./guard/core.js"
export type { HistogramPoint, MetricReading, MetricSink, MetricsReading, NumberPoint } from "./guard.js"
export type { Recognise } from "./guard/once.js"
export type { BlownFuse, Component as FuseComponent, FuseOptions } from "./guard/fuse.js"
export type { Attributes } from "./guard/participation.js"
export type { EvaluateOptions, ScanOptions, SessionOptions } from "./guard/session.js"
export type { ShadowOptions, ShadowStatus } from "./guard/shadow.js"
export type { EventLogger, EventRecord, TraceOptions } from "./guard/traces.js"
export { guardTools } from "./guard/tool.js"
export type { Guarded, GuardedTools, ToolOptions } from "./guard/tool.js"
export type { NotRun } from "./guard/refusal.js"
export type { Refusal } from "./guard/tool-shape.js"
export type { Channel, Passed, Ruling, SessionRef, ToolPort, ToolPortOptions, ToolUse } from "./guard/tool-port.js"
export type { WrapOptions } from "./guard/wrap.js"
export { isSerinError, SerinError } from "./errors.js"
export type { Problem, SerinErrorCode } from "./errors.js"
export type { Call } from "./model/call.js"
export type { FollowerProblem } from "./model/follower-problem.js"
export type { Clock } from "./model/clock.js"
export type { Arm, Decision, Effect, ErrorType, Finding, Outcome, Scan, ScanResult } from "./model/decision.js"
export type {
  DecisionEntry,
  DecisionLogEntry,
  DecisionSink,
  PairEntry,
  PairSide,
  ScanEntry,
} from "./model/decision-entry.js"
export { binIndex, BINS, CELLS, cellIndex, COHORTS, pairIndex } from "./model/evidence.js"
export type { BinRange, Cell, Coarse, Evidence, EvidenceGap, Stratum } from "./model/evidence.js"
export type {
  Criterion,
  CriterionName,
  CriterionVerdict,
  EvidenceSourceName,
  NoData,
  Result,
  SrmVerdict,
  Verdict,
} from "./model/verdict.js"
export type { Diff } from "./evidence/diffs.js"
export type { ScanDiff, ScanDiffSide } from "./evidence/scan-diffs.js"
export { mergeEvidence, snapshotEvidence, subtractEvidence } from "./evidence/cells.js"
export { binLowerMs } from "./evidence/histogram.js"
export { mergePacked, packEvidence, readPacked } from "./evidence/packed.js"
export type { PackedEvidence } from "./evidence/packed.js"
export type { EvidenceSink } from "./evidence/sink.js"
export type { EvidenceQuery, EvidenceSource } from "./evidence/source.js"
export { releaseBundles } from "./release/bundles.js"
export type { BundleOptions } from "./release/bundles.js"
export { loadRelease, releaseDirectory } from "./release/load.js"
export type { IsolatedOptions, LoadOptions } from "./release/load.js"
export type { CodeOptions, Modules } from "./release/code-options.js"
export type { LoadedModules } from "./release/module-code.js"
export type { TrustedKeys } from "./signing/trust.js"
export type {
  Alert,
  Direction,
  Engine,
  Evaluation,
  EvaluationContext,
  ModuleParts,
  Monitor,
  Policy,
  Release,
  ReleaseSource,
  ScanContext,
  Scanner,
  ScanReport,
  SchemaIssue,
  SourceFile,
  StandardSchema,
} from "./release/ports.js"
export type { CompactEvidence, CompactStratum, Counts as CompactCounts } from "./analysis/compact.js"
export type { Course, CoursePoint } from "./analysis/course.js"
export type { Figures } from "./analysis/figures.js"
export type { Computer, VerdictInputs } from "./analysis/replay.js"
export type { TripRow, TripState } from "./analysis/trip.js"
export { command } from "./channels/command.js"
export type { CommandOptions } from "./channels/command.js"
export type { HttpOptions as PostOptions } from "./channels/post.js"
export { slack } from "./channels/slack.js"
export type { SlackOptions } from "./channels/slack.js"
export { webhook } from "./channels/webhook.js"
export type { WebhookOptions } from "./channels/webhook.js"
export type { CriterionNumbers, Message, MessageKind, Standing } from "./notify/message.js"
export type { ApprovalLinks } from "./notify/notify-people.js"
export type { ChannelOptions, NotifyChannel, SendOptions } from "./notify/notify-channel.js"
export type { Beat } from "./rollout/beat.js"
export type { Digests } from "./rollout/digests.js"
export type { Gate, GateReport } from "./rollout/gate.js"
export type { Phase } from "./rollout/phase.js"
export type { AttributeValue, Eligible, Pin, Pins, RolloutSpec, Stage } from "./rollout/spec.js"
export type { Actor, Approval, Hold, HoldReason, Kill, RampEntry, RolloutState, Transition } from "./rollout/state.js"
export type {
  CasResult,
  Hint,
  ReadStore,
  StandingKill,
  StateStore,
  StoreCaps,
  StoreOptions,
  Versioned,
  WriteOptions,
} from "./rollout/store.js"
export type { RolloutEvent } from "./rollout/transition.js"
export type {
  ApproveEvent,
  ContainEvent,
  KillEvent,
  LeadEvent,
  PauseEvent,
  PromoteEvent,
  ResumeEvent,
  RetryEvent,
  RollbackEvent,
  StartEvent,
  TickEvent,
} from "./rollout/event.js"
export { functionEngine } from "./engines/function.js"
export type { FunctionOptions, OutcomeOptions } from "./engines/function.js"
export { fileStore } from "./stores/file.js"
export type { FileStoreOptions } from "./stores/file.js"
export { memoryStore } from "./stores/memory.js"
export { armAt } from "./session/arm.js"
export type { RampPoint } from "./session/arm.js"
export { bucketOf } from "./session/bucket.js"
