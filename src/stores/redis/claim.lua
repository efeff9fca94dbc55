-- Claims an idempotency key, or says that a claim stands.
--
-- KEYS[1]  the key
-- ARGV     the fingerprint of the request, its owner, how long a claim lasts that nobody renews, the time in
--          milliseconds since the epoch, and 1 where the owner has claimed it before
--
-- Answers with `claimed`, `running`, `mismatch` or `stored`.
local known = redis.call('HMGET', KEYS[1], 'fingerprint', 'until', 'owner')
local over = known[2] and tonumber(known[2]) <= tonumber(ARGV[4])
local stands = known[3] == ARGV[2] and ARGV[5] == '1'
if known[1] and not over and not stands then
  if known[1] ~= ARGV[1] then return 'mismatch' end
  return known[2] and 'stored' or 'running'
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'fingerprint', ARGV[1], 'owner', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 'claimed'
