-- Shares out the places at targets among processes: what each leases, no other one may use.
--
-- KEYS[1]  what every key begins with; its tag keeps all of them on the node that decides
-- ARGV     the time in milliseconds ('' = this server's), how long a lease lasts, the process, how many calls wait in it,
--          and of each target six values: its id, its places (0 = no bound), its server's id and places, how many the
--          process uses now, and how many it wants
--
-- What is used stays used, whatever the others have. Answers with the number of processes that live, how many calls wait
-- in the others, and how many places the process has now at each target.
local SPARE = 10000

local now = now_of(ARGV[1])
local lease, process, waiting = tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local processes, waits = KEYS[1] .. 'processes', KEYS[1] .. 'waiting'

redis.call('ZREMRANGEBYSCORE', processes, '-inf', now)
if lease > 0 then
  redis.call('ZADD', processes, string.format('%d', math.ceil(now + lease)), process)
else
  redis.call('ZREM', processes, process)
end
redis.call('PEXPIRE', processes, lease + SPARE)
local lives = {}
for _, each in ipairs(redis.call('ZRANGE', processes, 0, -1)) do lives[each] = true end

-- What the others say under one key; what the dead have said is removed.
local function of_others(key)
  local sum, said = 0, redis.call('HGETALL', key)
  for at = 1, #said, 2 do
    if not lives[said[at]] then
      redis.call('HDEL', key, said[at])
    elseif said[at] ~= process then
      sum = sum + tonumber(said[at + 1])
    end
  end
  return sum
end

local function say(key, number)
  if number > 0 then
    redis.call('HSET', key, process, number)
    redis.call('PEXPIRE', key, lease + SPARE)
  else
    redis.call('HDEL', key, process)
  end
end

local function room(key, max, used)
  if max == 0 then return math.huge end
  return math.max(0, max - of_others(key) - used)
end

local used_at, held_at, room_at = {}, {}, {}
for at = 5, #ARGV, 6 do
  local server = ARGV[at + 2]
  used_at[server] = (used_at[server] or 0) + tonumber(ARGV[at + 4])
end
for at = 5, #ARGV, 6 do
  local server = ARGV[at + 2]
  room_at[server] = room_at[server] or room(KEYS[1] .. 'server:' .. server, tonumber(ARGV[at + 3]), used_at[server])
end

local answer = { 0, 0 }
for at = 5, #ARGV, 6 do
  local key, server, used = KEYS[1] .. 'target:' .. ARGV[at], ARGV[at + 2], tonumber(ARGV[at + 4])
  local more = math.min(tonumber(ARGV[at + 5]) - used, room(key, tonumber(ARGV[at + 1]), used), room_at[server])
  more = math.max(0, more)
  room_at[server] = room_at[server] - more
  held_at[server] = (held_at[server] or 0) + used + more
  say(key, used + more)
  answer[#answer + 1] = used + more
end
for server, held in pairs(held_at) do say(KEYS[1] .. 'server:' .. server, held) end

say(waits, waiting)
answer[1] = redis.call('ZCARD', processes)
answer[2] = of_others(waits)
return answer
