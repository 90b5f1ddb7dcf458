import type { Message } from "../../src/notify/message.js"
import { testMessage } from "../../src/notify/transition-message.js"

/** A message, with what differs. */
export const messageWith = (differs: Partial<Message> = {}): Message => ({
  ...testMessage("demo", 1_700_000_000_000),
  ...differs,
})
