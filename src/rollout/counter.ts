import { z } from "zod"
import { MAX_REVISION } from "./store.js"

/**
 * A number that grows by one with each write. Attack: one from which it cannot grow any more, at which the rollout would stand still for
 * ever: from 2^53 on, a number and the next are the same.
 */
export const counter = (from: 0 | 1): z.ZodNumber =>
  z
    .int()
    .min(from)
    .max(MAX_REVISION, `is above ${MAX_REVISION}, which nobody who counts has come to; it was written by hand`)
