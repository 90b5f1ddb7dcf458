/**
 * A document is a stream whose entry ids are its revisions: `42-0`. So the server itself refuses a revision twice, one command reads
 * the newest, another walks the history, and pruning is a limit of length. `KEYS[2]` is the rollout's list of keys, in order.
 */

/** Name of the field of an entry that holds the text. */
export const FIELD = "envelope"

/**
 * Compare and set. ARGV: expected revision, text, revisions to keep, the key's name, and the server's own time, ms, after which the
 * caller has given up: a write that was held up on the way is refused here, wherever it was held. `redis.pcall`: a hint that may not
 * be published takes nothing back.
 * Answers `["written"]`, `["late"]` or `["refused", newest entry or nothing]`.
 */
export const COMPARE_AND_SET = `
local time = redis.call('TIME')
if time[1] * 1000 + time[2] / 1000 > tonumber(ARGV[5]) then return {'late'} end
local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
local revision = newest[1] and string.match(newest[1][1], '^(%d+)-') or '0'
if tonumber(revision) ~= tonumber(ARGV[1]) then return {'refused', newest[1]} end
local id = string.format('%.0f-0', tonumber(revision) + 1)
redis.call('ZADD', KEYS[2], 0, ARGV[4])
redis.call('XADD', KEYS[1], 'MAXLEN', '=', ARGV[3], id, '${FIELD}', ARGV[2])
redis.pcall('PUBLISH', KEYS[1], id)
return {'written'}
`

/** Remove. ARGV: the key's name, and the time, as above. Answers `["written"]` or `["late"]`. */
export const REMOVE = `
local time = redis.call('TIME')
if time[1] * 1000 + time[2] / 1000 > tonumber(ARGV[2]) then return {'late'} end
redis.call('ZREM', KEYS[2], ARGV[1])
if redis.call('DEL', KEYS[1]) > 0 then redis.pcall('PUBLISH', KEYS[1], '0-0') end
return {'written'}
`
