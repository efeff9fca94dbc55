-- Tells the time in milliseconds: what the caller says, or, where that is '', this server's. It is counted from 2023, so
-- that more of a millisecond's parts fit into the number.
--
-- It goes on from the latest time that was told here where a clock was set back, or another node with a clock that is
-- behind has taken over: every bucket that was in use would else be empty until the clock is where it was.
local CLOCK = '{citadel}:clock'
-- What was told last is written down once in so many milliseconds, and less than twice as many are no step. A Redis that is
-- full takes no note, and goes on to tell what it knows.
local NOTED = 1000

local function now_of(said)
  local now = tonumber(said)
  if not now then
    local time = redis.call('TIME')
    now = (time[1] - 1700000000) * 1000 + time[2] / 1000
  end
  local kept = redis.call('HMGET', CLOCK, 'last', 'behind')
  local last, behind = tonumber(kept[1] or -1e15), tonumber(kept[2] or 0)
  local told = now + behind
  if told < last - 2 * NOTED then
    behind, told = last - now, last
    redis.pcall('HSET', CLOCK, 'last', string.format('%.17g', told), 'behind', string.format('%.17g', behind))
  elseif told > last + NOTED then
    redis.pcall('HSET', CLOCK, 'last', string.format('%.17g', told))
  end
  return told
end

