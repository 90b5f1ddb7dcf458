import { approveCommand } from "./approve.js"
import { calibrateCommand } from "./calibrate.js"
import type { Command } from "./command.js"
import { completionCommand } from "./completion.js"
import { containCommand } from "./contain.js"
import { controllerCommand } from "./controller.js"
import { diffsCommand } from "./diffs.js"
import { explainCommand } from "./explain.js"
import { historyCommand } from "./history.js"
import { initCommand } from "./init.js"
import { keygenCommand } from "./keygen.js"
import { killCommand } from "./kill.js"
import { notifyCommand } from "./notify.js"
import { pauseCommand } from "./pause.js"
import { planCommand } from "./plan.js"
import { promoteCommand } from "./promote.js"
import { releaseDiffCommand } from "./release-diff.js"
import { releaseInspectCommand } from "./release-inspect.js"
import { releaseKeygenCommand } from "./release-keygen.js"
import { releasePackCommand } from "./release-pack.js"
import { releaseSignCommand } from "./release-sign.js"
import { releaseVerifyCommand } from "./release-verify.js"
import { replayCommand } from "./replay.js"
import { resumeCommand } from "./resume.js"
import { retryCommand } from "./retry.js"
import { rollbackCommand } from "./rollback.js"
import { schemaCommand } from "./schema.js"
import { serveCommand } from "./serve.js"
import { signCommand } from "./sign.js"
import { startCommand } from "./start.js"
import { statusCommand } from "./status.js"
import { validateCommand } from "./validate.js"
import { verifyCommand } from "./verify.js"
import { watchCommand } from "./watch.js"

/** Every verb of `serin`, in the order in which a rollout meets them. */
export const COMMANDS: readonly Command[] = [
  initCommand,
  validateCommand,
  calibrateCommand,
  planCommand,
  replayCommand,
  startCommand,
  statusCommand,
  watchCommand,
  pauseCommand,
  resumeCommand,
  approveCommand,
  promoteCommand,
  rollbackCommand,
  containCommand,
  killCommand,
  retryCommand,
  historyCommand,
  explainCommand,
  diffsCommand,
  verifyCommand,
  controllerCommand,
  notifyCommand,
  serveCommand,
  signCommand,
  keygenCommand,
  releasePackCommand,
  releaseSignCommand,
  releaseVerifyCommand,
  releaseInspectCommand,
  releaseDiffCommand,
  releaseKeygenCommand,
  schemaCommand(() => COMMANDS),
  completionCommand(() => COMMANDS),
]
