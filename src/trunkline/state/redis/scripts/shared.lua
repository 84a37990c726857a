-- What all scripts share: the arithmetic of policy/quota.py, said for Redis. Times in milliseconds.
--
-- A counter is a hash: bucket number -> amount, 't' -> the sum of its living buckets, 'o' -> the oldest number that may
-- live; all numbers lie in o .. o + kept. A clock that goes back (a failover) does not go back for a counter.
--
-- A lease is a field of `held` (what it took, packed) and a member of `leases` (when it ends). One that has ended leaves
-- its name in `ended`, so that a settlement that comes later is not taken for one that is repeated.

local DAY = 86400000
local MONTH = -1
local LONGEST = 90000000      -- no lease is longer than 24 hours: what belongs to leases is forgotten after 25
local LEASE_STEP = 1000
local SWEPT_AT_ONCE = 50      -- leases given back by one script at most

local leases, held, ended = KEYS[1], KEYS[2], KEYS[3]

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- Months since January of year 0 (H. Hinnant, civil_from_days).
local function month_of(day)
  local shifted = day + 719468
  local era = math.floor(shifted / 146097)
  local of_era = shifted - era * 146097
  local year = math.floor((of_era - math.floor(of_era / 1460) + math.floor(of_era / 36524)
    - math.floor(of_era / 146096)) / 365)
  local of_year = of_era - (365 * year + math.floor(year / 4) - math.floor(year / 100))
  local month = math.floor((5 * of_year + 2) / 153)
  return (year + era * 400) * 12 + month + 2
end

local function present_of(width)
  if width > 0 then return math.floor(now / width) end
  if width == 0 then return 0 end
  return month_of(math.floor(now / DAY))
end

-- For how long a counter that nobody touches again must be kept: as long as its present bucket may live.
local function keep_for(width, kept)
  if width > 0 then return width * (kept + 1) end
  return width == 0 and LONGEST or 32 * DAY
end

-- A counter as it is, its dead buckets dropped: its `total`, its `present` bucket, the `oldest` it may have, the
-- `bucket` that was asked for (by default the present one) and what that `holds`.
local function look(key, width, kept, bucket)
  local present = present_of(width)
  local found = redis.call('HMGET', key, 'o', 't', bucket or present)
  local oldest, total, holds = tonumber(found[1]), tonumber(found[2] or 0), tonumber(found[3] or 0)
  if not oldest then return { total = 0, present = present, bucket = bucket or present, holds = 0 } end
  if present < oldest then
    present = oldest
    if not bucket then holds = tonumber(redis.call('HGET', key, present) or 0) end
  end
  local first = present - kept
  if oldest + kept < first then
    redis.call('DEL', key)
    return { total = 0, present = present, bucket = bucket or present, holds = 0 }
  end
  if oldest < first then
    local gone = {}
    for number = oldest, first - 1 do gone[#gone + 1] = number end
    for _, amount in ipairs(redis.call('HMGET', key, unpack(gone))) do
      if amount then total = total - amount end
    end
    redis.call('HDEL', key, unpack(gone))
    redis.call('HSET', key, 'o', first, 't', total)
    oldest = first
  end
  return { total = total, present = present, oldest = oldest, bucket = bucket or present, holds = holds }
end

-- Add to the bucket of a counter that was looked at, and that lives.
local function put(key, width, kept, counter, amount)
  local bucket, oldest = counter.bucket, counter.oldest
  local total, holds = counter.total + amount, counter.holds + amount
  if oldest and bucket >= oldest then
    redis.call('HSET', key, 't', total, bucket, holds)
  else
    redis.call('HSET', key, 't', total, bucket, holds, 'o', bucket)
  end
  if counter.holds == 0 or (width == 0 and amount > 0) then redis.call('PEXPIRE', key, keep_for(width, kept)) end
end

-- Correct a bucket, if it still lives, and never to less than nothing.
local function correct(key, width, kept, bucket, delta)
  if delta == 0 then return end
  local counter = look(key, width, kept, bucket)
  if counter.present - bucket > kept then return end
  if counter.holds + delta < 0 then delta = -counter.holds end
  if delta ~= 0 then put(key, width, kept, counter, delta) end
end

local function lease_end(lease)
  return math.ceil((now + lease) / LEASE_STEP) * LEASE_STEP
end

-- `taken`: key, width, kept, bucket, amount of each want, and whether it stays taken when the lease ends.
local function lend(id, expires, taken)
  redis.call('ZADD', leases, expires, id)
  redis.call('HSET', held, id, cmsgpack.pack(taken))
  redis.call('PEXPIRE', leases, LONGEST)
  redis.call('PEXPIRE', held, LONGEST)
end

local function unlend(id)
  redis.call('ZREM', leases, id)
  redis.call('HDEL', held, id)
end

-- Give back what a lease took; what stays taken only where `all`.
local function give_back(id, all)
  local packed = redis.call('HGET', held, id)
  if packed then
    for _, each in ipairs(cmsgpack.unpack(packed)) do
      if all or not each[6] then correct(each[1], each[2], each[3], each[4], -each[5]) end
    end
  end
  unlend(id)
end

-- Give back what leases that have ended took, some of them.
local function sweep()
  local over = redis.call('ZRANGEBYSCORE', leases, '-inf', now, 'LIMIT', 0, SWEPT_AT_ONCE)
  if #over == 0 then return end
  for _, id in ipairs(over) do
    give_back(id, false)
    redis.call('ZADD', ended, now, id)
  end
  redis.call('ZREMRANGEBYSCORE', ended, '-inf', now - LONGEST)
  redis.call('PEXPIRE', ended, LONGEST)
end
