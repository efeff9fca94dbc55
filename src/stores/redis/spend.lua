-- Follows a ledger: what it has charged, what its next rows will charge, and which requests have their rows. Gives back
-- the holds whose time is over, too.
--
-- KEYS[1]  what every key begins with; its tag keeps all of them on the node that decides
-- ARGV     the time, how long an account is remembered, until when a request that is over may be held, all in
--          milliseconds; how many accounts and how many requests that are over follow
--          of each account: its name, the ledger, its version, all that the ledger has charged
--          of each request that is over: its id, what it costs
--          the requests whose rows are written
--
-- Answers with the number of holds whose time was over.
local REAPED_MAX = 1000
local accounts, over = tonumber(ARGV[4]), tonumber(ARGV[5])

-- An account that was forgotten begins anew with what the ledger says.
local function hold_more(account, nano)
  local key = KEYS[1] .. 'account:' .. account
  if redis.call('EXISTS', key) == 1 then redis.call('HINCRBY', key, 'held', string.format('%.0f', nano)) end
end

local function release(request)
  local key = KEYS[1] .. 'hold:' .. request
  local held = redis.call('HGETALL', key)
  for at = 1, #held, 2 do hold_more(held[at], 0 - tonumber(held[at + 1])) end
  redis.call('DEL', key)
  redis.call('ZREM', KEYS[1] .. 'ends', request)
end

local first = 6 + 4 * accounts
for at = 6, first - 1, 4 do
  local key, ledger, version = KEYS[1] .. 'account:' .. ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local known = redis.call('HGET', key, 'version:' .. ledger)
  if not known or tonumber(version) > tonumber(known) then
    redis.call('HSET', key, 'version:' .. ledger, version, 'spent:' .. ledger, ARGV[at + 3])
    redis.call('PEXPIRE', key, ARGV[2])
  end
end

local rest = first + 2 * over
for at = first, rest - 1, 2 do
  local key, nano = KEYS[1] .. 'hold:' .. ARGV[at], ARGV[at + 1]
  local held = redis.call('HGETALL', key)
  for field = 1, #held, 2 do
    hold_more(held[field], tonumber(nano) - tonumber(held[field + 1]))
    redis.call('HSET', key, held[field], nano)
  end
  if #held > 0 then redis.call('ZADD', KEYS[1] .. 'ends', ARGV[3], ARGV[at]) end
end

for at = rest, #ARGV do release(ARGV[at]) end

local late = redis.call('ZRANGEBYSCORE', KEYS[1] .. 'ends', '-inf', ARGV[1], 'LIMIT', 0, REAPED_MAX)
for _, request in ipairs(late) do release(request) end
return #late
