-- Frees an idempotency key, if the claim is one's own.
--
-- KEYS[1]  the key
-- ARGV     the owner
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end
return redis.call('UNLINK', KEYS[1])
