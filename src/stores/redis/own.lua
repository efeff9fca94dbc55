-- Runs a command with a claim, if it is one's own.
--
-- KEYS[1]  the key
-- ARGV     the owner, the command, and what follows the key in it
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end
return redis.call(ARGV[2], KEYS[1], unpack(ARGV, 3))
