import { describe, expect, it } from "vitest"
import { checkEvent } from "../../src/rollout/event-fields.js"

const ada = { kind: "human", id: "ada" }

describe("what is no event", () => {
  it.each<[unknown, RegExp]>([
    [undefined, /^event must be an object/],
    ["kill", /^event must be an object/],
    [{}, /^event\.type must be one of start, .* got undefined$/],
    [{ type: "kil", actor: ada }, /^event\.type must be one of .*kill.* got "kil"$/],
    [{ type: "toString", actor: ada }, /^event\.type/],
    [{ type: "pause" }, /^event\.actor must be who asks/],
    [{ type: "pause", actor: "ada" }, /^event\.actor must be who asks/],
    [
      { type: "pause", actor: { kind: "robot", id: "r" } },
      /^event\.actor\.kind must be human or controller, got "robot"$/,
    ],
    [{ type: "pause", actor: { kind: "human" } }, /^event\.actor\.id/],
    [{ type: "pause", actor: ada }, /^event\.reason must be a text/],
    [{ type: "kill", actor: ada, reason: "r" }, /^event\.position must be stable or deny, got undefined$/],
    [{ type: "promote", actor: ada, reason: "r", to: "last" }, /^event\.to must be next or end/],
    [{ type: "start", actor: ada, reason: "r", salt: "s" }, /^event\.spec must be a spec/],
    [{ type: "retry", actor: ada, reason: "r", salt: "" }, /^event\.salt must be/],
    [{ type: "tick", actor: ada }, /^event\.verdict/],
  ])("%j is refused by the field that is wrong", (event, message) => {
    expect(() => checkEvent(event)).toThrow(message)
    expect(() => checkEvent(event)).toThrow(TypeError)
  })

  it("is not one that a rollout takes", () => {
    const asked = { actor: ada, reason: "" }
    for (const event of [
      { type: "pause", ...asked },
      { type: "kill", position: "deny", ...asked },
      { type: "promote", ...asked },
      { type: "retry", salt: "s", ...asked },
      { type: "tick", actor: ada, verdict: null },
    ]) {
      expect(() => checkEvent(event)).not.toThrow()
    }
  })
})
