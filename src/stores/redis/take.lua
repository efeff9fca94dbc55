-- Decides what one process asks in one turn of its event loop: settles what earlier takes have used, and then does take
-- after take, each from every one of its buckets, or from none.
--
-- KEYS[1]  what every key begins with; its tag keeps all of them on the node that decides
-- ARGV     the time in milliseconds ('' = this server's), how long a lease lasts, how long a refused lease makes wait,
--          and, as JSON, four lists without inner ones:
--          buckets      of each its name, milliseconds for one (0 = it counts leases), its burst, and 1 where it counts
--                       tokens, else 0
--          sets         of each how many buckets it has, and their numbers
--          settlements  of each who had the leases, the number of a set, and how many more requests and tokens were used
--                       than were taken
--          takes        of each who is to have the leases, the number of a set, and tokens
--
-- Answers with a JSON list: of each take the place in its set of the bucket that refused and makes wait longest (0 = none
-- did), and then the debt of each of its buckets: milliseconds until it is full, or the leases that are out.
local ROUNDING = 1e-4
-- A bucket that is full is forgotten, but not at once: another node's clock may be behind.
local SPARE = 10000

local now = now_of(ARGV[1])
local lease, lease_wait = tonumber(ARGV[2]), tonumber(ARGV[3])
-- Whole numbers are written much faster; a lease is no matter of microseconds.
local ends = string.format('%d', math.ceil(now + lease))
local said = cjson.decode(ARGV[4])

-- What is kept under one key; it is read once and written once, whoever takes from it.
local kept, kept_by_name = {}, {}

local function keeping(name, interval)
  local keep = kept_by_name[name]
  if keep then return keep end
  keep = { key = KEYS[1] .. name, changed = false }
  if interval == 0 then
    keep.gone, keep.taken = {}, {}
  else
    keep.debt = math.max(0, tonumber(redis.call('GET', keep.key) or now) - now)
  end
  kept[#kept + 1], kept_by_name[name] = keep, keep
  return keep
end

local buckets, sets = {}, {}
for at = 1, #said[1], 4 do
  local name, interval, burst, tokens = unpack(said[1], at, at + 3)
  buckets[#buckets + 1] =
    { keep = keeping(name, interval), interval = interval, burst = burst, of_tokens = tokens == 1 }
end
do
  local at = 1
  while at <= #said[2] do
    local set, last = {}, at + said[2][at]
    for place = at + 1, last do set[#set + 1] = buckets[said[2][place]] end
    sets[#sets + 1] = set
    at = last + 1
  end
end

for at = 1, #said[3], 4 do
  local owner, set, requests, tokens = unpack(said[3], at, at + 3)
  for _, bucket in ipairs(sets[set]) do
    local keep, change = bucket.keep, bucket.of_tokens and tokens or requests
    if bucket.interval == 0 then
      keep.gone[#keep.gone + 1] = owner
    elseif change ~= 0 then
      keep.debt, keep.changed = math.max(0, keep.debt + change * bucket.interval), true
    end
  end
end
for _, keep in ipairs(kept) do
  if keep.gone and #keep.gone > 0 then redis.call('ZREM', keep.key, unpack(keep.gone)) end
end

local function debt_of(keep)
  if not keep.debt then
    redis.call('ZREMRANGEBYSCORE', keep.key, '-inf', string.format('%d', math.floor(now)))
    keep.debt = redis.call('ZCARD', keep.key)
  end
  return keep.debt
end

local answer = {}
for at = 1, #said[4], 3 do
  local owner, set, tokens = said[4][at], sets[said[4][at + 1]], said[4][at + 2]
  local refused, longest = 0, ROUNDING
  for place, bucket in ipairs(set) do
    local debt, wait = debt_of(bucket.keep), 0
    if bucket.interval ~= 0 then
      wait = debt - (bucket.burst - (bucket.of_tokens and tokens or 1)) * bucket.interval
    elseif debt >= bucket.burst then
      wait = lease_wait
    end
    if wait > longest then
      refused, longest = place, wait
    end
  end
  answer[#answer + 1] = refused
  for _, bucket in ipairs(set) do
    local keep = bucket.keep
    if refused == 0 and bucket.interval == 0 then
      keep.taken[#keep.taken + 1] = ends
      keep.taken[#keep.taken + 1] = owner
    elseif refused == 0 then
      keep.debt, keep.changed = keep.debt + (bucket.of_tokens and tokens or 1) * bucket.interval, true
    end
    answer[#answer + 1] = keep.debt
    if refused == 0 and bucket.interval == 0 then keep.debt = keep.debt + 1 end
  end
end

for _, keep in ipairs(kept) do
  if keep.taken and #keep.taken > 0 then
    redis.call('ZADD', keep.key, unpack(keep.taken))
    redis.call('PEXPIRE', keep.key, lease + SPARE)
  elseif keep.changed and keep.debt > 0 then
    redis.call('SET', keep.key, string.format('%.17g', now + keep.debt), 'PX', math.ceil(keep.debt) + SPARE)
  elseif keep.changed then
    redis.call('DEL', keep.key)
  end
end
return cjson.encode(answer)
