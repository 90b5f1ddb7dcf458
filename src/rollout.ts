/** The documents of a rollout, and what becomes of its state: for tools of one's own. An application needs `embed` or `connect` alone. */
export { phaseOf } from "./rollout/phase.js"
export type { Phase } from "./rollout/phase.js"
export { parseSpec } from "./rollout/spec.js"
export type { AttributeValue, Eligible, Pin, Pins, RolloutSpec, Stage } from "./rollout/spec.js"
export { initialState, parseState, serializeState } from "./rollout/state.js"
export type { Actor, Approval, Hold, HoldReason, Kill, RampEntry, RolloutState, Transition } from "./rollout/state.js"
export { transition } from "./rollout/transition.js"
export type { RolloutEvent } from "./rollout/transition.js"
export type {
  ApproveEvent,
  ContainEvent,
  KillEvent,
  PauseEvent,
  PromoteEvent,
  ResumeEvent,
  RetryEvent,
  RollbackEvent,
  StartEvent,
  TickEvent,
} from "./rollout/event.js"
