-- Settles what earlier takes have used, and then takes from every bucket, or from none.
--
-- KEYS[1]  what every key begins with; its tag keeps all of them on the node that decides
-- ARGV     the time in milliseconds ('' = this server's), how long a lease lasts and who has it, how long a refused
--          lease makes wait, and how many settlements follow
--          of each settlement: who had the leases, the bucket's name, milliseconds for one (0 = it counts leases), how
--          many more were used than were taken
--          of each bucket: name, milliseconds for one (0 = it counts leases), burst, cost
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
-- Whole numbers are written much faster; a lease is no matter of microseconds.
local ends = string.format('%d', math.ceil(now + lease))

local function debt_of(key)
  return math.max(0, tonumber(redis.call('GET', key) or now) - now)
end

local function owe(key, debt)
  redis.call('SET', key, string.format('%.17g', now + debt), 'PX', math.ceil(debt) + SPARE)
end

local first = 6 + 4 * tonumber(ARGV[5])
for at = 6, first - 1, 4 do
  local key, interval = KEYS[1] .. ARGV[at + 1], tonumber(ARGV[at + 2])
  if interval == 0 then
    redis.call('ZREM', key, ARGV[at])
  else
    local debt = debt_of(key) + tonumber(ARGV[at + 3]) * interval
    if debt > 0 then owe(key, debt) else redis.call('DEL', key) end
  end
end

local buckets = {}
local refused, longest = 0, ROUNDING
for at = first, #ARGV, 4 do
  local bucket = {
    key = KEYS[1] .. ARGV[at],
    interval = tonumber(ARGV[at + 1]),
    burst = tonumber(ARGV[at + 2]),
    cost = tonumber(ARGV[at + 3]),
  }
  local wait = 0
  if bucket.interval == 0 then
    redis.call('ZREMRANGEBYSCORE', bucket.key, '-inf', string.format('%d', math.floor(now)))
    bucket.debt = redis.call('ZCARD', bucket.key)
    if bucket.debt >= bucket.burst then wait = lease_wait end
  else
    bucket.debt = debt_of(bucket.key)
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
    redis.call('ZADD', bucket.key, ends, owner)
    redis.call('PEXPIRE', bucket.key, lease + SPARE)
  elseif refused == 0 then
    bucket.debt = bucket.debt + bucket.cost * bucket.interval
    owe(bucket.key, bucket.debt)
  end
  answer[at + 1] = string.format('%.5f', bucket.debt)
end
return answer
