export { parseCalls, readCalls, type RecordedCall } from "./calls.js"
export { fakeClock, type FakeClock } from "./fake-clock.js"
export { storeContract, type StoreFixture, type TestFramework } from "./store-contract.js"
export { replaySessions, type ReplayedCall, type ReplayOptions } from "./traffic.js"
