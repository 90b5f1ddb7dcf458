const effort = Number(process.env["SERIN_TEST_EFFORT"] ?? 1)

/** How often a property is tried: as often as stated, times SERIN_TEST_EFFORT (100 to search for a night, 0.2 to look again elsewhere). */
export const runs = (stated: number): number => Math.max(5, Math.round(stated * effort))
