-- Notes that a server is there, and counts those that are. Time is this server's. Answers -1 if this is another store.
--
-- KEYS: the servers by when they were last heard of; the generation. ARGV: who; after how many seconds one counts as
-- gone; the generation that is expected.
if redis.call('GET', KEYS[2]) ~= ARGV[3] then return -1 end
local now = tonumber(redis.call('TIME')[1])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[2]))
return redis.call('ZCARD', KEYS[1])
