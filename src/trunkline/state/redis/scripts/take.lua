-- All wants or none. KEYS: leases, held, ended, one counter each. ARGV: id, lease, all amounts, then for each want:
-- width, kept buckets, most, whether it is soft, whether it stays taken.
-- Returns 1, now, expires, and bucket and total of each; or 0, now, and for each want that refuses: its position (from
-- 0), its total, how many living buckets follow, and of each number and amount.

sweep()

local id, lease, count = ARGV[1], tonumber(ARGV[2]), #KEYS - 3
local wants, refused = {}, {}
for index = 1, count do
  local at = 2 + count + (index - 1) * 5
  local want = {
    key = KEYS[3 + index], width = tonumber(ARGV[at + 1]), kept = tonumber(ARGV[at + 2]),
    amount = tonumber(ARGV[2 + index]), stays = ARGV[at + 5] == '1',
  }
  want.counter = look(want.key, want.width, want.kept)
  if ARGV[at + 4] == '0' and want.counter.total + want.amount > tonumber(ARGV[at + 3]) then
    refused[#refused + 1] = index
  end
  wants[index] = want
end

if #refused > 0 then
  local answer = { 0, now }
  for _, index in ipairs(refused) do
    local want, numbers, living = wants[index], {}, {}
    for bucket = want.counter.present - want.kept, want.counter.present do numbers[#numbers + 1] = bucket end
    for at, amount in ipairs(redis.call('HMGET', want.key, unpack(numbers))) do
      if amount and amount ~= '0' then
        living[#living + 1] = numbers[at]
        living[#living + 1] = tonumber(amount)
      end
    end
    answer[#answer + 1] = index - 1
    answer[#answer + 1] = want.counter.total
    answer[#answer + 1] = #living / 2
    for _, each in ipairs(living) do answer[#answer + 1] = each end
  end
  return answer
end

local expires = lease_end(lease)
local answer, taken = { 1, now, expires }, {}
for index, want in ipairs(wants) do
  local counter = want.counter
  if want.amount > 0 then put(want.key, want.width, want.kept, counter, want.amount) end
  taken[index] = { want.key, want.width, want.kept, counter.bucket, want.amount, want.stays }
  answer[#answer + 1] = counter.bucket
  answer[#answer + 1] = counter.total + want.amount
end
lend(id, expires, taken)
return answer
