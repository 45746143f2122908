-- Notes that a server is there, and counts those that are. Time is this server's.
--
-- KEYS: the servers by when they were last heard of. ARGV: who; after how many seconds one counts as gone.
local now = tonumber(redis.call('TIME')[1])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[2]))
return redis.call('ZCARD', KEYS[1])
