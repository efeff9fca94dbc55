-- Counts a failure of a client, or only looks.
--
-- KEYS[1]  what every key begins with
-- ARGV     the client, the time in milliseconds ('' = this server's), milliseconds that a failure costs (0 = look)
--
-- Answers with the milliseconds until all failures of the client are forgotten.
local SPARE = 10000

local now = now_of(ARGV[2])
local key, cost = KEYS[1] .. ARGV[1], tonumber(ARGV[3])
local debt = math.max(0, tonumber(redis.call('GET', key) or now) - now) + cost
if cost > 0 then redis.call('SET', key, string.format('%.17g', now + debt), 'PX', math.ceil(debt) + SPARE) end
return string.format('%.5f', debt)
