-- Says that a process lives, and renews its leases.
--
-- KEYS[1]  what every key begins with
-- ARGV     the time in milliseconds ('' = this server's), how long a lease lasts, the process, and of each lease the
--          name of its bucket and who has it
--
-- Answers with the number of processes that live.
local SPARE = 10000

local now = now_of(ARGV[1])
local lease = tonumber(ARGV[2])
local ends = string.format('%d', math.ceil(now + lease))

local processes = KEYS[1] .. 'processes'
redis.call('ZREMRANGEBYSCORE', processes, '-inf', now)
redis.call('ZADD', processes, ends, ARGV[3])
redis.call('PEXPIRE', processes, lease + SPARE)
for at = 4, #ARGV, 2 do
  local key = KEYS[1] .. ARGV[at]
  redis.call('ZADD', key, ends, ARGV[at + 1])
  redis.call('PEXPIRE', key, lease + SPARE)
end
return redis.call('ZCARD', processes)
