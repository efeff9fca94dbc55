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
--
-- `since` of an account is when it was begun, and `since:NAME` of a hold that of its account: Redis may forget an account,
-- where it is short of memory, and not the holds.
local REAPED_MAX = 1000
local accounts, over = tonumber(ARGV[4]), tonumber(ARGV[5])

-- What a request holds of an account; nothing where that was forgotten since, and begins anew with what the ledger says.
local function held_of(key, account)
  local since = redis.call('HGET', key, 'since:' .. account)
  if redis.call('EXISTS', KEYS[1] .. 'account:' .. account) == 0 then return nil end
  if since and since ~= redis.call('HGET', KEYS[1] .. 'account:' .. account, 'since') then return nil end
  return tonumber(redis.call('HGET', key, account))
end

local function hold_more(account, nano)
  redis.call('HINCRBY', KEYS[1] .. 'account:' .. account, 'held', string.format('%.0f', nano))
end

local function accounts_of(key)
  local accounts = {}
  for _, field in ipairs(redis.call('HKEYS', key)) do
    if string.sub(field, 1, 6) ~= 'since:' then accounts[#accounts + 1] = field end
  end
  return accounts
end

local function release(request)
  local key = KEYS[1] .. 'hold:' .. request
  for _, account in ipairs(accounts_of(key)) do
    local held = held_of(key, account)
    if held then hold_more(account, 0 - held) end
  end
  redis.call('DEL', key)
  redis.call('ZREM', KEYS[1] .. 'ends', request)
end

local first = 6 + 4 * accounts
for at = 6, first - 1, 4 do
  local key, ledger, version = KEYS[1] .. 'account:' .. ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local known = redis.call('HGET', key, 'version:' .. ledger)
  if not known or tonumber(version) > tonumber(known) then
    if redis.call('EXISTS', key) == 0 then
      local time = redis.call('TIME')
      redis.call('HSET', key, 'since', string.format('%.0f', time[1] * 1000000 + time[2]))
    end
    redis.call('HSET', key, 'version:' .. ledger, version, 'spent:' .. ledger, ARGV[at + 3])
    redis.call('PEXPIRE', key, ARGV[2])
  end
end

local rest = first + 2 * over
for at = first, rest - 1, 2 do
  local key, nano = KEYS[1] .. 'hold:' .. ARGV[at], ARGV[at + 1]
  local held_from = accounts_of(key)
  for _, account in ipairs(held_from) do
    local held = held_of(key, account)
    if held then hold_more(account, tonumber(nano) - held) end
    redis.call('HSET', key, account, nano)
  end
  if #held_from > 0 then redis.call('ZADD', KEYS[1] .. 'ends', ARGV[3], ARGV[at]) end
end

for at = rest, #ARGV do release(ARGV[at]) end

-- A process whose clock is ahead would else give back what all others hold.
local time = redis.call('TIME')
local now = math.min(tonumber(ARGV[1]), time[1] * 1000 + time[2] / 1000)
local ended = string.format('%.0f', now)
local late = redis.call('ZRANGEBYSCORE', KEYS[1] .. 'ends', '-inf', ended, 'LIMIT', 0, REAPED_MAX)
for _, request in ipairs(late) do release(request) end
return #late
