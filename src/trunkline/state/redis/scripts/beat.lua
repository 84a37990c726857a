-- A process is alive. KEYS: leases, held, ended, the living (by when they last said so), the name of this data. ARGV:
-- process, milliseconds of silence after which one counts as dead.
-- Returns how many live, the name, and whether it is new. Data is named by when it began: another name than before means
-- that Redis has lost what it knew.

redis.call('ZADD', KEYS[4], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', now - tonumber(ARGV[2]))
redis.call('PEXPIRE', KEYS[4], LONGEST)
local new = redis.call('SET', KEYS[5], now, 'NX')
redis.call('PEXPIRE', KEYS[5], 40 * DAY)
return { redis.call('ZCARD', KEYS[4]), redis.call('GET', KEYS[5]), new and 1 or 0 }
