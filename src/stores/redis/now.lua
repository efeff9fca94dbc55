-- Tells the time in milliseconds: what the caller says, or, where that is '', this server's. It is counted from 2023, so
-- that more of a millisecond's parts fit into the number.
local function now_of(said)
  local now = tonumber(said)
  if now then return now end
  local time = redis.call('TIME')
  return (time[1] - 1700000000) * 1000 + time[2] / 1000
end

