-- Takes from every bucket, or from none.
--
-- KEYS[1]  what every key begins with; its tag keeps all of them on the node that decides
-- ARGV     the time in milliseconds ('' = this server's), how long a lease lasts and who has it, how long a refused
--          lease makes wait, and of each bucket: name, milliseconds for one (0 = it counts leases), burst, cost
--
-- Answers with the number of the bucket that refused and makes wait longest (0 = none did), and then each bucket's
-- debt: milliseconds until it is full, or the leases that are out.
local ROUNDING = 1e-4
-- A bucket that is full is forgotten, but not at once: another node's clock may be behind.
local SPARE = 10000

local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = (time[1] - 1700000000) * 1000 + time[2] / 1000
end
local lease, owner, lease_wait = tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])

local buckets = {}
local refused, longest = 0, ROUNDING
for at = 5, #ARGV, 4 do
  local bucket = {
    key = KEYS[1] .. ARGV[at],
    interval = tonumber(ARGV[at + 1]),
    burst = tonumber(ARGV[at + 2]),
    cost = tonumber(ARGV[at + 3]),
  }
  local wait = 0
  if bucket.interval == 0 then
    redis.call('ZREMRANGEBYSCORE', bucket.key, '-inf', now)
    bucket.debt = redis.call('ZCARD', bucket.key)
    if bucket.debt >= bucket.burst then wait = lease_wait end
  else
    bucket.debt = math.max(0, tonumber(redis.call('GET', bucket.key) or now) - now)
    wait = bucket.debt - (bucket.burst - bucket.cost) * bucket.interval
  end
  buckets[#buckets + 1] = bucket
  if wait > longest then
    refused, longest = #buckets, wait
  end
end

local answer = { tostring(refused) }
for at, bucket in ipairs(buckets) do
  if refused == 0 and bucket.interval == 0 then
    redis.call('ZADD', bucket.key, now + lease, owner)
    redis.call('PEXPIRE', bucket.key, lease + SPARE)
  elseif refused == 0 then
    bucket.debt = bucket.debt + bucket.cost * bucket.interval
    redis.call('SET', bucket.key, string.format('%.17g', now + bucket.debt), 'PX', math.ceil(bucket.debt) + SPARE)
  end
  answer[at + 1] = string.format('%.17g', bucket.debt)
end
return answer
