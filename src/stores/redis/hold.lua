-- Sets money aside in every account, or in none.
--
-- KEYS[1]  what every key begins with; its tag keeps all of them on the node that decides
-- ARGV     the ledger, the request, how much, when the hold ends
--          of each account: its name and how much may be used of it
--
-- Answers with the number of the account that has too little (0 = all gave, -1 = what the ledger has charged to one of
-- them is not known), and how much of each account is used.
local ledger, request, nano, ends = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local first = 5

local refused, used = 0, {}
for at = first, #ARGV, 2 do
  local fields = redis.call('HGETALL', KEYS[1] .. 'account:' .. ARGV[at])
  local sum, known = 0, false
  for field = 1, #fields, 2 do
    local name = fields[field]
    if name == 'held' or string.sub(name, 1, 6) == 'spent:' then sum = sum + tonumber(fields[field + 1]) end
    if name == 'version:' .. ledger then known = true end
  end
  if not known then return { -1 } end
  used[#used + 1] = sum
  if refused == 0 and sum + tonumber(nano) > tonumber(ARGV[at + 1]) then refused = #used end
end

local answer = { refused }
for at, sum in ipairs(used) do
  if refused == 0 then
    local account = ARGV[first + 2 * (at - 1)]
    local key, hold = KEYS[1] .. 'account:' .. account, KEYS[1] .. 'hold:' .. request
    redis.call('HINCRBY', key, 'held', nano)
    local since = redis.call('HGET', key, 'since')
    -- What it held of an account that was forgotten since, it holds no more.
    if since and redis.call('HGET', hold, 'since:' .. account) ~= since then redis.call('HDEL', hold, account) end
    if since then redis.call('HSET', hold, 'since:' .. account, since) end
    redis.call('HINCRBY', hold, account, nano)
    sum = sum + tonumber(nano)
  end
  answer[at + 1] = string.format('%.0f', sum)
end
if refused == 0 then redis.call('ZADD', KEYS[1] .. 'ends', ends, request) end
return answer
