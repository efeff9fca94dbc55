-- Gives back what a take has not used, and charges what it has used above.
--
-- KEYS[1]  what every key begins with
-- ARGV     the time in milliseconds ('' = this server's), who had the leases, and of each bucket: name, milliseconds
--          for one (0 = it counts leases), how many more were used than were taken
local SPARE = 10000

local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = (time[1] - 1700000000) * 1000 + time[2] / 1000
end

for at = 3, #ARGV, 3 do
  local key, interval, change = KEYS[1] .. ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  if interval == 0 then
    redis.call('ZREM', key, ARGV[2])
  else
    local debt = math.max(0, tonumber(redis.call('GET', key) or now) - now) + change * interval
    if debt > 0 then
      redis.call('SET', key, string.format('%.17g', now + debt), 'PX', math.ceil(debt) + SPARE)
    else
      redis.call('DEL', key)
    end
  end
end
