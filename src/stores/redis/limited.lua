-- Remembers which targets limit their callers, and for how long.
--
-- KEYS[1]  the set of all of them, each with its end
-- ARGV     the time in milliseconds ('' = this server's), and of each target that has just said so its name, and for how
--          many milliseconds it is left alone
--
-- Answers with the name of each target that is left alone, and for how many milliseconds it still is.
local now = now_of(ARGV[1])

redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
for at = 2, #ARGV, 2 do
  local ends = math.ceil(now + tonumber(ARGV[at + 1]))
  local known = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[at]) or 0)
  if ends > known then redis.call('ZADD', KEYS[1], string.format('%d', ends), ARGV[at]) end
end

local all = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
for at = 2, #all, 2 do all[at] = math.ceil(tonumber(all[at]) - now) end
-- The last one ends last.
if #all > 0 then redis.call('PEXPIRE', KEYS[1], all[#all]) end
return all
