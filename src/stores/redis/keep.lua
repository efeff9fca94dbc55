-- Ends a claim with its answer; also one that was never noted here.
--
-- KEYS[1]  the key
-- ARGV     the fingerprint of the request, its owner, until when the answer is kept in milliseconds since the epoch,
--          how many milliseconds that is from now, and the answer
if redis.call('EXISTS', KEYS[1]) == 1 and redis.call('HGET', KEYS[1], 'owner') ~= ARGV[2] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'fingerprint', ARGV[1], 'until', ARGV[3], 'answer', ARGV[5])
return redis.call('PEXPIRE', KEYS[1], ARGV[4])
