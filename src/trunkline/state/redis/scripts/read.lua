-- What counters hold now. KEYS: leases, held, ended, one counter each. ARGV: for each its width and kept buckets.

sweep()
local totals = {}
for index = 4, #KEYS do
  local at = 1 + (index - 4) * 2
  totals[#totals + 1] = look(KEYS[index], tonumber(ARGV[at]), tonumber(ARGV[at + 1])).total
end
return totals
