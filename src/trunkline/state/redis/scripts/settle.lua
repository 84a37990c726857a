-- The real use. KEYS: leases, held, ended, one counter each. ARGV: id, whether this is surely the first settlement, then
-- all buckets, all amounts as taken, all as used; then for each want: width, kept buckets, whether it stays taken.
-- A lease that is neither held nor ended was settled before (a repetition), or Redis has lost it, or never knew it: only
-- whoever surely settles for the first time has his use counted then.

local id, count = ARGV[1], #KEYS - 3
local known = redis.call('HEXISTS', held, id) == 1
local over = not known and redis.call('ZREM', ended, id) == 1
if known then unlend(id) end
if not (known or over or ARGV[2] == '1') then return 0 end
for index = 1, count do
  local at = 3 + count * 3 + (index - 1) * 3
  local bucket, amount, used = tonumber(ARGV[2 + index]), ARGV[2 + count + index], ARGV[2 + count * 2 + index]
  local taken = (known or (over and ARGV[at + 2] == '1')) and tonumber(amount) or 0
  correct(KEYS[3 + index], tonumber(ARGV[at]), tonumber(ARGV[at + 1]), bucket, tonumber(used) - taken)
end
return 1
