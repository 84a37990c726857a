-- A grant that Redis does not know (any more) and that its call still holds: taken unasked, into its own buckets.
-- KEYS: leases, held, ended, one counter each. ARGV: id, lease, then for each want: width, kept buckets, bucket, amount,
-- whether it stays taken.

local id = ARGV[1]
if redis.call('HEXISTS', held, id) == 1 or redis.call('ZSCORE', ended, id) then return 0 end
local taken = {}
for index = 4, #KEYS do
  local at = 3 + (index - 4) * 5
  local key, width, kept = KEYS[index], tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  local bucket, amount = tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  correct(key, width, kept, bucket, amount)
  taken[#taken + 1] = { key, width, kept, bucket, amount, ARGV[at + 4] == '1' }
end
lend(id, lease_end(tonumber(ARGV[2])), taken)
return 1
