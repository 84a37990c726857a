-- The real use. KEYS: leases, held, ended, one counter each. ARGV: id, whether this is surely the first settlement, then
-- for each want: width, kept buckets, bucket, amount as taken, amount as used, whether it stays taken.
-- A lease that is neither held nor ended was settled before (a repetition), or Redis has lost it, or never knew it: only
-- whoever surely settles for the first time has his use counted then.

local id = ARGV[1]
local known = redis.call('HEXISTS', held, id) == 1
local over = not known and redis.call('ZREM', ended, id) == 1
if known then unlend(id) end
if not (known or over or ARGV[2] == '1') then return 0 end
for index = 4, #KEYS do
  local at = 3 + (index - 4) * 6
  local used = tonumber(ARGV[at + 4])
  local taken = (known or (over and ARGV[at + 5] == '1')) and tonumber(ARGV[at + 3]) or 0
  correct(KEYS[index], tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), used - taken)
end
return 1
