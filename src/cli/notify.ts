import { dirname, join, resolve } from "node:path"
import { existsSync } from "node:fs"
import { DEFAULT_KINDS } from "../notify/message.js"
import type { NotifyChannel } from "../notify/notify-channel.js"
import { testMessage } from "../notify/transition-message.js"
import { messageOf } from "../controller/message.js"
import { z } from "zod"
import { answers } from "./answer.js"
import { defineCommand, JSON_FLAG, PLACE_FLAGS, type Flags, usage } from "./command.js"
import { EXIT } from "./exit-code.js"
import type { Io } from "./io.js"
import { readNotifyFile, type NotifyFile } from "./notify-file.js"
import { readSpec, rolloutFileOf, type RolloutFile } from "./place.js"

export const NOTIFY_FLAG = {
  notify: {
    type: "string",
    value: "FILE",
    text: "whom to tell (default: notify.yaml beside the rollout's file, if it is there)",
  },
} as const satisfies Flags

/** What was sent to one channel. */
interface Sent {
  readonly channel: string
  readonly outcome: "delivered" | "failed"
  readonly problem?: string | undefined
}

export const notifyCommand = defineCommand({
  notes: ["A test message is sent once and tried once. Exit code 1: a channel did not take it."],
  example: "serin notify --test",
  flags: {
    rollout: PLACE_FLAGS.rollout,
    ...NOTIFY_FLAG,
    test: { type: "boolean", text: "send a test message through each channel" },
    ...JSON_FLAG,
  },
  answers: answers(
    "serin/notify/1",
    z.object({ rollout: z.string(), channels: z.array(z.object({ name: z.string(), on: z.array(z.string()) })) }),
    /** With `--test`. */
    z.object({
      rollout: z.string(),
      sent: z.array(
        z.object({
          channel: z.string(),
          outcome: z.enum(["delivered", "failed"]),
          problem: z.string().optional(),
        }),
      ),
    }),
  ),
  async run({ values, io, out }) {
    const place = rolloutFileOf(values, io)
    const { rollout } = await readSpec(place)
    const file = notifyFileFor(values.notify, place, io)
    if (file === null)
      throw usage("serin notify: there is no notify.yaml beside the rollout's file; --notify names one")
    if (!values.test) {
      const channels = file.channels.map(({ name, on }) => ({ name, on: on ?? DEFAULT_KINDS }))
      if (values.json) out.json({ rollout, channels })
      else for (const { name, on } of channels) out.line({ text: name, style: "bold" }, `: ${on.join(", ")}`)
      return EXIT.ok
    }
    const sent = await Promise.all(file.channels.map((channel) => sendTest(channel, rollout, io)))
    if (values.json) out.json({ rollout, sent })
    else for (const one of sent) out.line({ text: one.channel, style: "bold" }, `: ${one.problem ?? "delivered"}`)
    return sent.every(({ outcome }) => outcome === "delivered") ? EXIT.ok : EXIT.failed
  },
})

/** Read whom to tell; null: nobody says. Throws `NOTIFY_INVALID`. */
export function notifyFileFor(named: string | undefined, { file, shownFile }: RolloutFile, io: Io): NotifyFile | null {
  const shown = named ?? join(dirname(shownFile), "notify.yaml")
  const path = named === undefined ? join(dirname(file), "notify.yaml") : resolve(io.cwd, named)
  return named === undefined && !existsSync(path) ? null : readNotifyFile(path, shown, io)
}

async function sendTest(channel: NotifyChannel, rollout: string, { clock, signal }: Io): Promise<Sent> {
  const message = testMessage(rollout, clock.now())
  try {
    await channel.send(message, { signal, idempotencyKey: message.key })
    return { channel: channel.name, outcome: "delivered" }
  } catch (error) {
    return { channel: channel.name, outcome: "failed", problem: messageOf(error) }
  }
}
