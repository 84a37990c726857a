-- Nobody waited for what this grant took: all of it returns. KEYS: leases, held, ended. ARGV: id.
give_back(ARGV[1], true)
return 1
