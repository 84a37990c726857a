-- A lease goes on. KEYS: leases, held, ended. ARGV: id, lease.
return redis.call('ZADD', leases, 'XX', 'CH', lease_end(tonumber(ARGV[2])), ARGV[1])
