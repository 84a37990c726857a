-- What was used while Redis was away. KEYS: leases, held, ended, one counter each. ARGV: where to note that this was
-- done, then for each counter: width, kept buckets, bucket, amount. Once, however often it is asked.

if not redis.call('SET', ARGV[1], 1, 'NX', 'PX', LONGEST) then return 0 end
for index = 4, #KEYS do
  local at = 2 + (index - 4) * 4
  correct(KEYS[index], tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]))
end
return 1
