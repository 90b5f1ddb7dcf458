import { z } from "zod"
import type { Course, CoursePoint } from "../analysis/course.js"
import type { Figures } from "../analysis/figures.js"
import { CRITERIA } from "../model/verdict.js"

const time = z.number().min(-8.64e15).max(8.64e15)
const bound = z.number().nullable()
const point = z.tuple([z.number(), bound, bound]) satisfies z.ZodType<CoursePoint>

/** The course as a report has it. What is longer than any that is written is none. */
export const COURSE_SCHEMA = z
  .object({
    generation: z.int().min(0),
    at: z.array(time).max(200),
    criteria: z.partialRecord(z.enum(CRITERIA), z.array(point.nullable()).max(200)),
  })
  .refine(({ at, criteria }) => Object.values(criteria).every((points) => points.length === at.length), {
    message: "every criterion must have a point for each look",
  }) satisfies z.ZodType<Course>

const quantiles = z.array(z.number().min(0)).max(16)

/** The figures as a report has them. */
export const FIGURES_SCHEMA = z.object({
  pairs: z.array(z.array(z.number().min(0)).length(4)).length(4),
  pairsAfter: z.number().min(0),
  latency: z.object({ of: z.enum(["pairs", "arms"]), stable: quantiles, canary: quantiles }).nullable(),
}) satisfies z.ZodType<Figures>
